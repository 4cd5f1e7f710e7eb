"""A message: a frozen model with a written-down name, an owner and a version, from which its routing key follows.

command   cmd.<owner>.<name>.v<version>               imperative, one owner
event     evt.<owner>.<name>.v<version>.<goal id>     past tense, anyone may hear it
reply     (no routing key: goes to the queue named by reply_to)
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["command", "event", "reply"]
MAX_BODY_BYTES = 1024 * 1024
"""A body larger than this is refused before it is parsed (1 MiB: quorum queues write bodies to the WAL)."""


class Value(BaseModel):
    """A part of a message: frozen, and a field that nobody knows is an error that names it."""

    # built when first used: a process speaks few of the contracts, and its start is part of its recovery
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Message(Value):
    """Base of all contracts. Subclasses say `class SubmitGoal(Command, owner="planner", name="submit_goal")`."""

    kind: ClassVar[Kind]
    owner: ClassVar[str]
    name: ClassVar[str]
    version: ClassVar[int]

    def __init_subclass__(cls, *, owner: str = "", name: str = "", version: int = 1, **more: Any) -> None:
        super().__init_subclass__(**more)
        if name:
            cls.owner, cls.name, cls.version = owner, name, version

    @classmethod
    def type_name(cls) -> str:
        """What stands in AMQP's `type` property: `submit_goal.v1`."""
        return f"{cls.name}.v{cls.version}"

    def encode(self) -> bytes:
        """The body: plain JSON in UTF-8, defaults included."""
        return self.model_dump_json().encode()


class Command(Message):
    """Please do this: has exactly one owner."""

    kind: ClassVar[Kind] = "command"

    @classmethod
    def key(cls) -> str:
        return f"cmd.{cls.owner}.{cls.type_name()}"


class Event(Message):
    """This happened: published by its owner, heard by anyone."""

    kind: ClassVar[Kind] = "event"

    @classmethod
    def key_for(cls, subject: str) -> str:
        """The routing key about one subject (a goal id, a service instance); `*` binds to all of them."""
        return f"evt.{cls.owner}.{cls.type_name()}.{subject}"


class Reply(Message):
    """The answer to one request, matched by causation id."""

    kind: ClassVar[Kind] = "reply"


class Refused(Reply, owner="any", name="refused"):
    """The answer to a request that could not be met. `error` is machine-readable, `reason` is for people."""

    error: str
    reason: str
    field: str | None = None
    hint: str | None = None


class Done(Reply, owner="any", name="done"):
    """The answer to a request that has nothing to say but that it was done. `count`: how many things it touched."""

    count: int = 0
