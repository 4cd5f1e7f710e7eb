"""What was last stored here, so that it need not be read again: for a database that nobody else writes to (SQLite).

A value is forgotten as it is changed, and known again once that is committed. Transactions end one after another, but
what is told of them may come later: a value counts only if nothing has begun to change it since.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

MOST = 500
"""Values that are kept; those that were kept first go first."""


@dataclass(frozen=True, slots=True)
class _Changing:
    turn: int


@dataclass
class Memory:
    """Of one process. Values are never changed by whoever gets them. `most` 0: nothing is kept."""

    most: int = MOST
    _values: dict[Hashable, Any] = field(default_factory=dict)
    _turns: "count[int]" = field(default_factory=count)

    def get(self, key: Hashable) -> Any:
        """None where it is not known."""
        value = self._values.get(key)
        return None if isinstance(value, _Changing) else value

    def changing(self, key: Hashable) -> int:
        """It is about to be stored anew: whoever asks meanwhile has to read it. Returns what `keep` wants to see."""
        turn = next(self._turns)
        if self.most:
            self._values.pop(key, None)
            self._values[key] = _Changing(turn)
            while len(self._values) > self.most:
                del self._values[next(iter(self._values))]
        return turn

    def keep(self, key: Hashable, value: Any, turn: int) -> None:
        """It is committed. None: it is not worth keeping."""
        if self._values.get(key) == _Changing(turn):
            if value is None:
                del self._values[key]
            else:
                self._values[key] = value

    def clear(self) -> None:
        """Something else has changed what is stored."""
        self._values.clear()
