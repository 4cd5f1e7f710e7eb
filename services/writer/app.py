"""Where the writer's parts meet."""

from services.writer.handlers import Writer
from services.writer.settings import Settings
from shared.runtime.agent import Agent
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    """A writer that is ready to run. Connects nothing."""
    service = Service("writer", settings)
    writer = Writer(reading=settings.reading, thinking=settings.thinking, second=settings.second_opinion)
    line = "writes the report of a goal from the findings of its steps; cites only what the sources say"
    Agent(service, "writer", writer.on_run_step, line=line, lease=settings.lease)
    return service
