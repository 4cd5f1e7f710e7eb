"""How fast each host is with each model, by what its last calls took. Pure.

`typical` is the middle of the last calls, for guesses; `best` the best of them, for what cannot be beaten. A call on a
model that had to be loaded counts for the loading only. Prompts are not counted: a first token takes what it took.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

KEPT = 20
SURE = 3
"""Calls after which `best` is believed."""
LEAST_TOKENS = 4
"""An answer that is shorter says nothing of tokens per second."""


@dataclass(frozen=True)
class Took:
    """A finished call. `tokens` of at most `most`; seconds to the first token and in all."""

    tokens: int
    most: int
    first_s: float
    total_s: float

    @property
    def rate(self) -> float | None:
        """Tokens per second after the first."""
        writing_s = self.total_s - self.first_s
        return (self.tokens - 1) / writing_s if self.tokens >= LEAST_TOKENS and writing_s > 0 else None


@dataclass(frozen=True)
class Speed:
    """`share`: tokens of an answer, of those that it might have had. `load_s`: 0 when nobody has seen it loaded."""

    first_s: float
    tokens_per_s: float
    share: float
    load_s: float = 0.0

    def seconds(self, most: int, *, cold: bool = False, written: int = 0) -> float:
        """Of a call of at most so many tokens, of which some are written."""
        writing_s = max(most * self.share - written, 0.0) / self.tokens_per_s
        return writing_s + (0.0 if written else self.first_s) + (self.load_s if cold else 0.0)


@dataclass
class Rates:
    """By host and model."""

    _took: dict[tuple[str, str], deque[Took]] = field(default_factory=dict)
    _loads: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def note(self, url: str, model: str, took: Took, *, cold: bool = False) -> None:
        """A call came to its end. `cold`: the model was not loaded when it began."""
        at = (url, model)
        if cold:
            usual = self.typical(url, model)
            load_s = took.first_s - (usual.first_s if usual else 0.0)
            self._loads.setdefault(at, deque(maxlen=KEPT)).append(max(load_s, 0.0))
            if usual:
                return
            took = Took(took.tokens, took.most, 0.0, took.total_s - took.first_s)
        self._took.setdefault(at, deque(maxlen=KEPT)).append(took)

    def typical(self, url: str, model: str) -> Speed | None:
        """None when nothing is known yet."""
        calls, rates = self._of(url, model)
        if not rates:
            return None
        loads = self._loads.get((url, model))
        return Speed(
            first_s=median(call.first_s for call in calls),
            tokens_per_s=median(rates),
            share=median(call.tokens / call.most for call in calls),
            load_s=median(loads) if loads else 0.0,
        )

    def best(self, url: str, model: str) -> Speed | None:
        """Each part at its best of the last calls. None when too few are known."""
        calls, rates = self._of(url, model)
        if len(rates) < SURE:
            return None
        loads = self._loads.get((url, model))
        return Speed(
            first_s=min(call.first_s for call in calls),
            tokens_per_s=max(rates),
            share=min(call.tokens / call.most for call in calls),
            load_s=min(loads) if loads else 0.0,
        )

    def _of(self, url: str, model: str) -> tuple[list[Took], list[float]]:
        calls = list(self._took.get((url, model), ()))
        return calls, [rate for call in calls if (rate := call.rate) is not None]
