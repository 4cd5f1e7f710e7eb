"""Tokens: what the model calls of a goal cost, and what was not paid again."""

from typing import Literal

from pydantic import Field

from shared.contracts.message import Command, Reply, Value


class ShowTokens(Command, owner="inference", name="show_tokens"):
    """Which calls has the ledger for this goal? Answered by `TokensShown`. `limit`: at most, the newest."""

    goal_id: str
    limit: int = Field(default=1000, ge=1, le=2000)


class CallCost(Value):
    """A call in the ledger. Tokens and `seconds` are those of the answer that is kept; a call that waits or runs has
    none yet. Where `earlier`, the answer is from an earlier run of the goal, and this call cost nothing; where
    `cache`, it is that of another call with the same request. `asked_again`: how often the kept answer was given once
    more; `joined`: how many others waited for it while it was made."""

    step: str
    purpose: str
    ordinal: int = 0
    run: int = 1
    epoch: int = 0
    state: Literal["waiting", "running", "done", "failed"]
    engine: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    earlier: bool = False
    cache: bool = Field(default=False, exclude_if=lambda cache: not cache)
    asked_again: int = 0
    joined: int = 0

    @property
    def spent(self) -> int:
        """Tokens, read and written."""
        return 0 if self.earlier or self.cache else self.tokens_in + self.tokens_out

    @property
    def saved(self) -> int:
        """Tokens that would have been paid, had nobody kept the answer."""
        times = self.asked_again + self.joined + self.earlier + self.cache
        return 0 if self.state == "failed" else (self.tokens_in + self.tokens_out) * times


class TokensShown(Reply, owner="inference", name="tokens_shown"):
    """`calls`: oldest first. `more`: how many older ones were left out. The ledger forgets a call `kept_s` seconds
    after it ended."""

    goal_id: str
    calls: tuple[CallCost, ...] = ()
    more: int = 0
    kept_s: float
