"""Which engine a call begins with by its purpose, and which follow where one fails: `[purposes]` and `[[chains]]` of
`infra/routing.toml`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.inference.generation import Choice, Trouble
from shared.contracts.generation import Generate, Tried

LONGEST = 4
"""Engines that a chain may name: each costs what its failure takes."""
REASON_CHARS = 300
PASSED_ON: frozenset[Trouble] = frozenset(
    {"refused", "denied", "missing", "busy", "memory", "silent", "broken", "unsupported", "unknown_host"}
)
"""Troubles of one engine that the next may not have. Not: `restricted`, and what would be too late or too long for the
next one, too (all engines have WARREN_NUM_CTX)."""


@dataclass(frozen=True)
class Chain:
    """`engine`: whose failures it is for; at its end a `*` stands for anything. `then`: asked in this order."""

    engine: str
    then: tuple[str, ...]

    def fits(self, engine: str) -> bool:
        return engine.startswith(self.engine[:-1]) if self.engine.endswith("*") else engine == self.engine


@dataclass(frozen=True)
class Routes:
    """`purposes`: the engine of `auto`, in place of WARREN_MODEL. Of chains that fit the exact one counts, then the
    one with the longest beginning."""

    purposes: Mapping[str, str] = field(default_factory=dict)
    chains: tuple[Chain, ...] = ()

    def of(self, request: Generate) -> str | None:
        """The engine that this request begins with by its purpose; None where what it names, or WARREN_MODEL, holds."""
        return self.purposes.get(request.call.purpose) if request.engine == "auto" else None

    def after(self, engine: str, tried: Sequence[Tried] = ()) -> str | None:
        """The engine that follows this one, in the chain of the first that was tried; None at the end of it."""
        first = tried[0].engine if tried else engine
        fitting = [chain for chain in self.chains if chain.fits(first)]
        chain = max(fitting, key=lambda each: (not each.engine.endswith("*"), len(each.engine)), default=None)
        done = {engine, *(one.engine for one in tried)}
        return next((name for name in chain.then if name not in done), None) if chain else None


def asked_of(wanted: str, *, route: str | None, configured: str, choice: Choice) -> str:
    """The name of the engine that is tried, as the tables have it."""
    if route:
        return route
    if wanted != "auto":
        return wanted
    return choice.engine if choice.url else configured or "auto"


def fell_back(wanted: str, choice: Choice) -> bool:
    """Is this `auto`, about to quote since its model cannot be had?"""
    return wanted == "auto" and choice.engine == "extractive" and choice.reason is not None


def failure(engine: str, kind: str, reason: str) -> Tried:
    return Tried(engine=engine, kind=kind, reason=reason[:REASON_CHARS])


def why_not(tried: Sequence[Tried]) -> str | None:
    """Why not the first: one line for the result."""
    return f"{tried[0].engine} failed ({tried[0].kind}): {tried[0].reason}" if tried else None
