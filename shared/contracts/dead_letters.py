"""Dead letters: messages that can never succeed, kept by the planner as opaque bytes until somebody decides."""

from pydantic import Field, JsonValue

from shared.contracts.message import MAX_BODY_BYTES, Command, Event, Reply, Value


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


class Crash(Value):
    """A death of a process that held this message. `ago_s`: seconds since then; the rest as in `ChildDied`."""

    worker: str
    reason: str
    ago_s: float
    exit_code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False
    memory_mb: int | None = None
    held: int = 1
    """How many messages it held; alone with this one: this is what killed it."""
    last_lines: tuple[str, ...] = ()


class DeadLetterShown(Reply, owner="planner", name="dead_letter_shown"):
    """The dossier, and the body as text (undecodable bytes replaced), at most 64 KiB of it."""

    dead_letter: DeadLetter
    type: str | None
    headers: dict[str, JsonValue]
    body: str
    trace: str | None = None
    crashes: tuple[Crash, ...] = ()
    """Of processes that held it, the latest first."""


class RetryDeadLetters(Command, owner="planner", name="retry_dead_letters"):
    """Put these back where they came from, with their own message ids, as if they had never failed. Each leaves the
    dead letters in the same transaction, so a second request finds nothing to do. Answered by `Done`: how many."""

    ids: tuple[str, ...] = Field(min_length=1, max_length=1000)


class DropDeadLetters(Command, owner="planner", name="drop_dead_letters"):
    """Forget these for good. Answered by `Done`: how many there were."""

    ids: tuple[str, ...] = Field(min_length=1, max_length=1000)


class EditDeadLetter(Command, owner="planner", name="edit_dead_letter"):
    """Publish a corrected message in place of this one, which is then gone. `body`: JSON, checked before it is sent.
    `type`: another message type than the letter's, one that a client may publish. Answered by `DeadLetterSent`."""

    id: str
    body: str = Field(max_length=MAX_BODY_BYTES)
    type: str | None = None


class DeadLetterSent(Reply, owner="planner", name="dead_letter_sent"):
    """The corrected message is on its way, with this id. `goal_id`: of the goal that it submits, if it submits one."""

    message_id: str
    type: str
    goal_id: str | None = None


class MessageParked(Event, owner="planner", name="message_parked"):
    """A message became a dead letter; subject of the routing key is its goal id, or `-`."""

    dead_letter: DeadLetter
