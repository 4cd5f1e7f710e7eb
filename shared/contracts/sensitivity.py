"""How far what is asked of a model may travel. Pure."""

from collections.abc import Iterable
from typing import Literal, TypeVar

from pydantic import BaseModel, Field

Sensitivity = Literal["public", "internal", "restricted"]
"""`restricted`: to model servers on this machine and in its private network only, whatever else is configured or fails.
`internal`, the default, and `public`: also to other servers, where somebody has named one."""
LEVELS: tuple[Sensitivity, ...] = ("public", "internal", "restricted")
USUAL: Sensitivity = "internal"
M = TypeVar("M", bound=BaseModel)


def strictest(*levels: Sensitivity) -> Sensitivity:
    """Of several levels the one that forbids most."""
    return max(levels, key=LEVELS.index)


def as_sensitive(message: M, least: Sensitivity) -> M:
    """The message with at least this level, if it is one that has levels."""
    level = getattr(message, "sensitivity", None)
    if level is None or strictest(level, least) == level:
        return message
    return message.model_copy(update={"sensitivity": least})


def covered(patterns: str, names: Iterable[str]) -> bool:
    """Is any of these names in a comma list of names? A `*` at the end of one stands for anything."""
    wanted = [one for one in map(str.strip, patterns.split(",")) if one]
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for name in names for one in wanted)


def _is_usual(level: str) -> bool:
    return level == USUAL


def sensitivity_field() -> Sensitivity:
    """The field of a message. Left out where it is the usual level: then the message, and the hashes of requests that
    are made from it, are what they were before there were levels."""
    level: Sensitivity = Field(default=USUAL, exclude_if=_is_usual)
    return level
