"""Every error that Warren raises on purpose.

WarrenError
├── Rejected            this message can never succeed: straight to the dead-letter queue, with the reason
│   ├── NotDecodable    not JSON, too large, wrong shape, unknown type or version
│   ├── NotAllowed      the sender may not ask for this
│   └── AttemptsSpent   it failed each time it was tried, or killed who tried
├── Retryable           the same message may succeed later: a fresh copy goes to a retry queue, counted
│   └── Deferred        somebody else holds the lease: back to the retry queue, not counted
├── Cancelled           the goal was cancelled or its lease was lost: stop, settle, say nothing
├── RequestFailed       the other side answered a request with a refusal
├── NoReply             the other side did not answer a request within its deadline
├── NoMesh              no broker answers at the address that was used
└── ConfigurationError  a setting is wrong; the text names it and says what to do
"""


class WarrenError(Exception):
    """Root of the tree. `str(error)` is one sentence for people; `hint` says what to do about it."""

    def __init__(self, reason: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.hint = hint


class Rejected(WarrenError):
    """This message can never succeed."""


class NotDecodable(Rejected):
    """The body is not a message that anybody here understands."""


class NotAllowed(Rejected):
    """The sender may not ask for this."""


class AttemptsSpent(Rejected):
    """It was tried often enough. Whoever asked is told that it failed, which is not that it was wrong to ask."""


class Retryable(WarrenError):
    """The same message may succeed later."""


class Deferred(Retryable):
    """Not now: come back after `delay_s` seconds, without counting an attempt."""

    def __init__(self, reason: str, *, delay_s: float = 2.0) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


class Cancelled(WarrenError):
    """What this work was for is gone: stop quietly and settle the message."""


class RequestFailed(WarrenError):
    """The other side refused a request; `kind` is the machine-readable name of the refusal."""

    def __init__(self, reason: str, *, kind: str, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(reason, field=field, hint=hint)
        self.kind = kind


class NoReply(WarrenError):
    """No answer within the deadline."""


class NoMesh(WarrenError):
    """No broker answers."""


class ConfigurationError(WarrenError):
    """A setting is wrong."""
