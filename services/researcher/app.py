"""Where the researcher's parts meet."""

from services.researcher.handlers import Researcher
from services.researcher.settings import Settings
from shared.runtime.agent import Agent
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    """A researcher that is ready to run. Connects nothing."""
    service = Service("researcher", settings)
    researcher = Researcher(
        search_limit=settings.search_limit,
        recall_limit=settings.recall_limit,
        search_timeout=settings.search_timeout,
        thinking=settings.thinking,
    )
    line = "answers one question from the corpora that a goal names, with verbatim quotes"
    Agent(service, "researcher", researcher.on_run_step, line=line, lease=settings.lease)
    return service
