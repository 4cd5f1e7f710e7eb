"""Dead letters: messages that can never succeed, kept by the planner as opaque bytes until somebody decides."""

from pydantic import Field, JsonValue

from shared.contracts.message import Command, Event, Reply, Value


class DeadLetter(Value):
    """One parked message. `age_s`: seconds since it was parked."""

    id: str
    reason: str
    queue: str
    attempts: int
    goal_id: str | None = None
    age_s: float = 0.0


class ListDeadLetters(Command, owner="planner", name="list_dead_letters"):
    """Newest first. Answered by `DeadLettersListed`."""

    limit: int = Field(default=100, ge=1, le=1000)


class DeadLettersListed(Reply, owner="planner", name="dead_letters_listed"):
    dead_letters: tuple[DeadLetter, ...]


class ShowDeadLetter(Command, owner="planner", name="show_dead_letter"):
    """Answered by `DeadLetterShown`."""

    id: str


class DeadLetterShown(Reply, owner="planner", name="dead_letter_shown"):
    """The dossier, and the body as text (undecodable bytes replaced), at most 64 KiB of it."""

    dead_letter: DeadLetter
    type: str | None
    headers: dict[str, JsonValue]
    body: str
    trace: str | None = None


class MessageParked(Event, owner="planner", name="message_parked"):
    """A message became a dead letter; subject of the routing key is its goal id, or `-`."""

    dead_letter: DeadLetter
