"""The mesh that is simulated: the real services, each with settings that make its clocks tick together."""

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import services.inference.app
import services.memory.app
import services.planner.app
import services.researcher.app
import services.writer.app
from services.inference.settings import Settings as InferenceSettings
from services.memory.index import SearchIndex
from services.memory.settings import Settings as MemorySettings
from services.planner.settings import Settings as PlannerSettings
from services.researcher.settings import Settings as ResearcherSettings
from services.writer.settings import Settings as WriterSettings
from shared.runtime.service import Service

LEASE = timedelta(seconds=9)
NAMES = ("planner-1", "inference-1", "researcher-1", "researcher-2", "writer-1", "memory-1")
REPLICAS = ("planner-2", "inference-2", "memory-2")
"""What some schedules have besides: then the databases are used as PostgreSQL is."""
MANY = "postgresql+asyncpg://simulated/mesh"


@functools.cache
def _settings(name: str, *, many: bool) -> Any:
    service, more = name.rsplit("-", 1)[0], {"instance": name, "database_url": MANY if many else ""}
    match service:
        case "planner":
            return PlannerSettings(
                **more,
                lease=LEASE,
                lost_after=timedelta(seconds=20),
                tick=timedelta(seconds=4),
                goal_deadline=timedelta(seconds=900),
                active_goals=2,
                window=2,
            )
        case "inference":
            return InferenceSettings(**more, model="scripted", ollama_urls="", lease=timedelta(seconds=30), slots=2)
        case "memory":
            return MemorySettings(**more)
        case "researcher":
            return ResearcherSettings(instance=name, lease=LEASE, thinking=timedelta(seconds=120))
        case _:
            return WriterSettings(instance=name, lease=LEASE, thinking=timedelta(seconds=120))


_BUILD: dict[str, Callable[[Any], Service]] = {
    "planner": services.planner.app.build,
    "inference": services.inference.app.build,
    "memory": services.memory.app.build,
    "researcher": services.researcher.app.build,
    "writer": services.writer.app.build,
}


def build(name: str, *, many: bool) -> Service:
    """The service that this process runs, with nothing of its own kept from an earlier life."""
    return _BUILD[name.rsplit("-", 1)[0]](_settings(name, many=many))


def index(_: Path) -> SearchIndex:
    """A search index is derived: here it lives as long as its process, and is built anew by the next."""
    return SearchIndex(Path(":memory:"))
