"""Structured logs on standard error: JSON lines for machines, readable lines on a terminal. Secrets never get in."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_PASSWORD = re.compile(r"(\w+://[^:/@\s]+:)[^@\s]+@")


def configure(*, service: str, instance: str, level: str, form: str) -> None:
    """Sets up structlog for this process. Twice is harmless. `form`: "json", "text" or "" for what fits."""
    text = form == "text" or (not form and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_passwords,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, force=True)
    # A lost connection is logged once, by us; the libraries log it once per channel, with stack traces.
    for noisy in ("aio_pika", "aiormq", "faststream"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _without_passwords(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in entry.items():
        if isinstance(value, str) and "://" in value:
            entry[key] = _PASSWORD.sub(r"\1***@", value)
    return entry
