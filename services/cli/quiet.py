"""Keeps the libraries below from writing into the user's terminal."""

import logging
import os
import sys


def silence_libraries() -> None:
    """Connection troubles are told by the commands themselves; WARREN_DEBUG=1 lets everybody speak, on stderr."""
    debug = bool(os.environ.get("WARREN_DEBUG"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL)
    import structlog

    level = logging.DEBUG if debug else logging.CRITICAL
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
