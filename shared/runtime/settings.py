"""Settings that every process has. Read from the environment, prefix `WARREN_`; a wrong one is named in the error."""

import os
import re
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL


class MeshSettings(BaseSettings):
    """Time spans take seconds ("30") or ISO 8601 ("PT30S")."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", extra="ignore", frozen=True)

    home: Path = Path(".warren")
    """The state folder of a mesh on this machine."""
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    amqp_password_file: Path | None = None
    """Where the password of `amqp_url` stands, if not in it: a file that only this process's user can read."""
    database_url: str = ""
    """"" is an SQLite file of the service's own under `home`; else postgresql+asyncpg://user:password@host/database"""
    instance: str = ""
    """This process's name among its replicas, e.g. researcher-1; "" takes the host's name."""
    declare: bool = True
    """Declare exchanges and queues at start; off where the broker was given them (compose)."""
    beat_file: Path | None = None
    """Where to write the local heartbeat; none without a watchdog."""
    keeper_fd: int | None = None
    """A pipe that closes when the keeper dies: then so do we."""
    crash_file: Annotated[Path | None, BeforeValidator(lambda value: value or None)] = None
    """For tests: a file that names the point at which a process is to be killed (shared/crashpoints.py)."""
    log_level: str = "INFO"
    log_format: str = Field(default="", pattern="^(|json|text)$")
    """"" is text on a terminal and JSON elsewhere."""
    grace: timedelta = timedelta(seconds=5)
    """How long a stopping process may finish what it has in hand."""
    publish_timeout: timedelta = timedelta(seconds=30)

    @property
    def broker_url(self) -> str:
        """`amqp_url`, with its password. Raises OSError when the password file cannot be read."""
        if self.amqp_password_file is None:
            return self.amqp_url
        password = self.amqp_password_file.read_text().strip()
        return str(URL(self.amqp_url).with_password(password))

    def __init__(self, **values: Any) -> None:
        """Exits with code 2 and the setting's name, instead of a stack trace, when one is wrong."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "WARREN_" + ".".join(map(str, first["loc"])).upper()
            print(f"{name}={first['input']!r}: {first['msg']}", file=sys.stderr)
            raise SystemExit(2) from None

    @field_validator("*", mode="before")
    @classmethod
    def _plain_seconds(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if field.annotation is timedelta and isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value)
        return value

    def instance_of(self, service: str) -> str:
        return self.instance or f"{service}-{socket.gethostname()}-{os.getpid()}"

    def database_url_of(self, service: str) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.home.absolute()}/data/{service}.db"
