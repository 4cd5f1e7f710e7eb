"""Conversations with a model: between clients and inference, which keeps them.

A client reads the session, asks for the next answer (`Generate`, with `turn_key`) and has the turn kept. The key
follows from session, number and question, so whoever is interrupted anywhere asks the same again and pays nothing
twice. Of two clients that go on with one session at once, one is told that its turn was not kept.
"""

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.contracts.generation import CallKey, Usage
from shared.contracts.message import Command, Reply, Value
from shared.contracts.sensitivity import Sensitivity, sensitivity_field

QUESTION_CHARACTERS, ANSWER_CHARACTERS = 50_000, 50_000
SYSTEM_CHARACTERS = 20_000
SESSION_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Strategy = Literal["keep_system", "window", "summarise"]
"""What becomes of a conversation that is longer than the model's context. `keep_system`: the newest turns that fit, and
the system prompt always; `window`: the newest that fit, the system prompt the first to go; `summarise`: as
`keep_system`, and what is left out stays as a summary that the model writes."""


class Turn(Value):
    """A question and its answer. `number` counts from 1. `cut`: the answer reached its longest."""

    number: int = Field(ge=1)
    question: str = Field(min_length=1, max_length=QUESTION_CHARACTERS)
    answer: str = Field(default="", max_length=ANSWER_CHARACTERS)
    cut: bool = False
    engine: str = ""
    usage: Usage = Usage()
    at: datetime


class Summary(Value):
    """What was said up to and with turn `upto`."""

    upto: int = Field(ge=1)
    text: str = Field(max_length=ANSWER_CHARACTERS)


class Session(Value):
    """`turns`: how many there are. `context`: tokens of prompt and answer together; `max_tokens`: of an answer.
    `sensitivity`: of all its calls, since each brings what was said before."""

    session_id: str = Field(pattern=SESSION_ID)
    system: str = Field(default="", max_length=SYSTEM_CHARACTERS)
    engine: str = "auto"
    strategy: Strategy = "keep_system"
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=1, le=8192)
    context: int = Field(default=8192, ge=1024)
    title: str = ""
    turns: int = 0
    summary: Summary | None = None
    created_at: datetime | None = None
    used_at: datetime | None = None
    sensitivity: Sensitivity = sensitivity_field()


class OpenSession(Command, owner="inference", name="open_session"):
    """Begin a session, or find it: one that is there stays as it is, but for a stricter `sensitivity`, which holds from
    then on. Answered by `SessionShown` without turns."""

    session: Session


class KeepTurn(Command, owner="inference", name="keep_turn"):
    """Keep the next turn, and the summary that was made for it. Answered by `Done` (count 0: it was kept before), or
    `Refused`: `no_session`; `taken`, where another question has this number; `not_next`, where one before it is
    missing."""

    session_id: str
    turn: Turn
    summary: Summary | None = None


class ShowSession(Command, owner="inference", name="show_session"):
    """The session and its turns after `after`. Answered by `SessionShown`, or `Refused`: `no_session`."""

    session_id: str
    after: int = Field(default=0, ge=0)


class SessionShown(Reply, owner="inference", name="session_shown"):
    """`turns`: in order, as many as fit one message; `more`: how many follow the last of them."""

    session: Session
    turns: tuple[Turn, ...] = ()
    more: int = 0


class ListSessions(Command, owner="inference", name="list_sessions"):
    """The sessions used last. Answered by `SessionsListed`."""

    limit: int = Field(default=50, ge=1, le=500)


class SessionsListed(Reply, owner="inference", name="sessions_listed"):
    sessions: tuple[Session, ...]
    more: int = 0


class DropSession(Command, owner="inference", name="drop_session"):
    """Forget a session and its turns. Answered by `Done`: how many turns there were."""

    session_id: str


OWN = "session-"
"""What the `goal_id` of a client's own calls begins with: it may not make calls in the name of a goal."""


def turn_key(session_id: str, number: int, question: str, *, part: int = 0) -> CallKey:
    """The ledger's key of an answer; `part` 1 and up: of what has to be asked for it (a summary)."""
    asked = hashlib.sha256(question.encode()).hexdigest()[:12]
    purpose: Literal["chat", "summary"] = "summary" if part else "chat"
    return CallKey(goal_id=f"{OWN}{session_id}", step=f"{number}-{asked}", purpose=purpose, ordinal=part)
