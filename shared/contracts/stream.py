"""The text of a model's answer while it is written: in pieces, to whoever asks for it.

A piece says where it goes: `attempt`, `revision` and `offset` (in characters: Unicode code points). Whoever has `n`
characters of an attempt and revision misses what follows `n`, and asks for exactly that. A higher attempt (inference
died, and the call was made again) or a higher revision of one (what was written is taken back: reasoning that leaked, a
stream that went round in circles, a model that failed and was replaced) begins anew at 0: what came before is void.
"""

from typing import Literal

from pydantic import Field

from shared.contracts.generation import CallKey, Generated
from shared.contracts.message import Command, Event, Reply

PIECE_CHARACTERS = 4000
"""The longest piece that is published; a longer part comes in several."""
WANTED_S = 15.0


class WatchTokens(Command, owner="inference", name="watch_tokens"):
    """Publish the text of all calls of this goal as it is written, from now on and for `for_s` seconds; ask again
    before they are over. Answered by `Done`. Twice is harmless."""

    goal_id: str
    for_s: float = Field(default=WANTED_S, gt=0, le=300)


class ReadTokens(Command, owner="inference", name="read_tokens"):
    """What has been written beyond `after` characters of this attempt and revision? Answered by `TokensRead`; and what
    is written in the next `for_s` seconds is published. A replica that does not run the call passes the question on:
    what is missing comes as `TokensWritten` then. Of a later attempt or revision everything is told."""

    call: CallKey
    attempt: int = Field(default=0, ge=0)
    revision: int = Field(default=0, ge=0)
    after: int = Field(default=0, ge=0)
    for_s: float = Field(default=WANTED_S, gt=0, le=300)


class TokensRead(Reply, owner="inference", name="tokens_read"):
    """`state`: `unknown` (nobody asked for that call yet, or it was stopped), `waiting` for a slot, `running`, or
    `done` with its `result`. `text` is what stands at `offset`; of a call that another replica runs it is empty."""

    call: CallKey
    state: Literal["unknown", "waiting", "running", "done"]
    attempt: int = 0
    revision: int = 0
    offset: int = 0
    text: str = ""
    result: Generated | None = None


class TokensWritten(Event, owner="inference", name="tokens_written"):
    """A piece of an answer that somebody wanted to see. May come twice, and is not stored. `ended`: the call is over;
    its answer is in the ledger."""

    goal_id: str
    call: CallKey
    attempt: int
    revision: int = 0
    offset: int = Field(ge=0)
    text: str = Field(max_length=PIECE_CHARACTERS)
    ended: bool = False


class TokensWanted(Event, owner="inference", name="tokens_wanted"):
    """From a replica of inference to the others: somebody wants the text of this goal's calls, or of one `call` beyond
    `after`; whoever runs it publishes it for `for_s` seconds."""

    goal_id: str
    call: CallKey | None = None
    attempt: int = 0
    revision: int = 0
    after: int = 0
    for_s: float = WANTED_S
