"""How a command ends: exit codes, and errors as sentences that say what to do."""

import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from enum import IntEnum

from services.cli.console import say
from shared.errors import ConfigurationError, NoMesh, NoReply, RequestFailed, WarrenError


class Exit(IntEnum):
    """Exit codes are part of the stable surface."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    CANCELLED = 4
    NO_MESH = 5


class UsageError(WarrenError):
    """The command line asks for something that cannot be."""


class CommandFailed(WarrenError):
    """The command could not do what it was asked to."""


def code_of(error: BaseException) -> Exit:
    """The exit code that this error means."""
    if isinstance(error, NoMesh):
        return Exit.NO_MESH
    if isinstance(error, NoReply):
        return Exit.TIMED_OUT
    if isinstance(error, UsageError | ConfigurationError):
        return Exit.USAGE
    if isinstance(error, KeyboardInterrupt):
        return Exit.CANCELLED
    return Exit.FAILED


def sentence_of(error: BaseException) -> str:
    """The error for a person: what happened, and what to do."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, NoReply):
        return f"{error.reason}. `warren ps` shows what runs, `warren doctor` what is wrong"
    if isinstance(error, NoMesh):
        hint = error.hint or "`warren up` starts a mesh here, --url names another, `warren doctor` tells more"
        return f"{error.reason}\n  {hint}"
    if isinstance(error, WarrenError):
        field = f"{error.field}: " if isinstance(error, RequestFailed) and error.field else ""
        return f"{field}{error.reason}" + (f"\n  {error.hint}" if error.hint else "")
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return f"{type(error).__name__}: {error} (WARREN_DEBUG=1 shows where)"


def guarded(command: Callable[[], int | None]) -> int:
    """Runs a command; whatever goes wrong becomes a sentence on stderr and an exit code, never a stack trace."""
    try:
        return int(command() or Exit.DONE)
    except BrokenPipeError:  # the reader of our output has gone: `warren goals | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except SystemExit:
        raise
    except BaseException as error:
        shown = _innermost(error)
        if os.environ.get("WARREN_DEBUG"):
            traceback.print_exception(error)
        say(f"warren: {sentence_of(shown)}")
        return code_of(shown)


def run_async(work: Callable[[], Awaitable[int | None]]) -> int:
    """Runs the asynchronous part of a command to its end."""
    import asyncio

    async def whole() -> int:
        return int(await work() or Exit.DONE)

    return asyncio.run(whole())


def _innermost(error: BaseException) -> BaseException:
    """Of a group the first error that says something to people."""
    while isinstance(error, BaseExceptionGroup):
        known = [e for e in error.exceptions if isinstance(e, WarrenError | BaseExceptionGroup)]
        error = (known or list(error.exceptions))[0]
    return error
