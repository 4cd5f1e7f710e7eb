"""What the services have in common: contracts, messaging, runtime. Never imports `services`."""

import sys


def _load_structlog() -> None:
    """structlog loads rich, a tenth of a service's start, for stack traces in colours that we do not print."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails, which structlog is prepared for
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


_load_structlog()
