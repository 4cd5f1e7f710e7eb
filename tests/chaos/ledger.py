"""The ledger of goals: what the broker confirmed, and every answer that came back. One JSON line per fact, flushed."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One final answer as it arrived. `digest`: of its body, so the same answer delivered twice is told apart."""

    message_id: str
    digest: str
    status: str
    at: float


@dataclass
class Entry:
    """One goal. Times in seconds since the epoch; `confirmed_at` is None until the broker vouched for it."""

    number: int
    message_id: str
    goal_id: str
    published_at: float
    confirmed_at: float | None = None
    answers: list[Answer] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """What stands in the goal's text, and so in every prompt made from it."""
        return mark_of(self.number)


def mark_of(number: int) -> str:
    return f"(no. {number})"


@dataclass
class Ledger:
    """Written to `path` as it happens, and kept in memory by message id. `open`: published and not answered."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    open: int = 0

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a")

    def published(self, number: int, message_id: str, goal_id: str) -> None:
        self.entries[message_id] = Entry(number, message_id, goal_id, time.time())
        self.open += 1
        self._write("published", message_id=message_id, goal_id=goal_id, number=number)

    def confirmed(self, message_id: str) -> None:
        self.entries[message_id].confirmed_at = time.time()
        self._write("confirmed", message_id=message_id)

    def answered(self, asked: str, message_id: str, body: bytes) -> None:
        """`asked`: the goal's message id, which the answer carries as its correlation id."""
        try:
            status = str(json.loads(body).get("status"))
        except (ValueError, AttributeError):
            status = "unreadable"
        answer = Answer(message_id, hashlib.sha256(body).hexdigest(), status, time.time())
        if asked in self.entries:
            self.open -= not self.entries[asked].answers
            self.entries[asked].answers.append(answer)
        self._write("answered", message_id=asked, status=status, digest=answer.digest, known=asked in self.entries)

    def confirmed_entries(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.confirmed_at is not None]

    def unanswered(self) -> Iterator[Entry]:
        return (entry for entry in self.confirmed_entries() if not entry.answers)

    def close(self) -> None:
        self._file.close()

    def _write(self, fact: str, **more: Any) -> None:
        self._file.write(json.dumps({"at": round(time.time(), 3), "fact": fact, **more}) + "\n")
        self._file.flush()
