"""What the command line reads from the environment. Anything unset is found by `mesh.py`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Mode = Literal["process", "docker"]


class Settings(BaseSettings):
    """`WARREN_HOME`, `WARREN_AMQP_URL`, `WARREN_MODE`, `WARREN_MAX_FILE_MB`, `WARREN_OLLAMA_URLS`."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", env_ignore_empty=True, extra="ignore")

    home: Path | None = None
    amqp_url: str | None = None
    mode: Mode | None = None
    max_file_mb: float = Field(default=50, gt=0)
    ollama_urls: str = "http://127.0.0.1:11434"
    """Comma-separated, as inference reads it; `doctor` looks whether anybody answers there."""
