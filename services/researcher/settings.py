"""Settings of the researcher."""

from datetime import timedelta

from pydantic import Field

from shared.runtime.settings import MeshSettings


class Settings(MeshSettings):
    """`lease`: the planner gives a step to another worker when it was not renewed for so long. `thinking`: how long one
    model call may take; a slow machine is slow, not dead, and inference has its own limits on silence."""

    lease: timedelta = timedelta(seconds=30)
    search_limit: int = Field(default=20, ge=1, le=100)
    recall_limit: int = Field(default=5, ge=0, le=100)
    search_timeout: timedelta = timedelta(seconds=30)
    thinking: timedelta = timedelta(minutes=30)
