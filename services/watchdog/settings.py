"""Settings of the watchdog beside those of every process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.runtime.settings import MeshSettings

ROOT = Path(__file__).resolve().parents[2]


class Settings(MeshSettings):
    """Without `WARREN_AMQP_URL`, process mode runs a private broker as the first child."""

    mode: Literal["process", "docker"] = "process"
    tree: Path = ROOT / "infra" / "supervision.toml"
    """The supervision tree."""
    silence: timedelta = timedelta(seconds=2)
    """How long a child's loop may be silent of its own doing before it is suspected to hang; waits for a processor do
    not count."""
    beats: Path | None = None
    """Where containers write their beats, each under its host's name; none in process mode."""
    docker_host: str = Field(default="tcp://socket-proxy:2375", validation_alias="DOCKER_HOST")
    """The socket proxy: never the socket itself."""
    compose_project: str = "warren"
    """Which compose project's containers are ours."""
