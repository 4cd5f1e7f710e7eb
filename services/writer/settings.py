"""Settings of the writer."""

from datetime import timedelta

from shared.runtime.settings import MeshSettings


class Settings(MeshSettings):
    """`lease`: the planner gives a step to another worker when it was not renewed for so long. `thinking`: how long one
    model call may take; a slow machine is slow, not dead, and inference has its own limits on silence.
    `second_opinion`: the engine that is asked about what a model wrote; empty: nobody."""

    lease: timedelta = timedelta(seconds=30)
    reading: timedelta = timedelta(seconds=30)
    thinking: timedelta = timedelta(minutes=30)
    second_opinion: str = ""
