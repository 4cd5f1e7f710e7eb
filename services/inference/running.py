"""A call in progress, and what comes of it."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import datetime

from services.inference.chains import why_not
from services.inference.generation import Choice
from services.inference.rows import Claim
from services.inference.upstream import Answer, Count
from services.inference.written import Written
from shared.contracts.generation import Generate, Generated, Timings, Usage
from shared.contracts.goals import StepProgress
from shared.errors import WarrenError
from shared.runtime.service import Publisher

SIGN_OF_LIFE_S = 1.5
"""Between two progress events; two seconds are promised."""


@dataclass
class Running:
    """A call in progress. `tokens` so far; `began`: monotonic seconds."""

    claim: Claim
    choice: Choice
    began: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    tokens: int = 0
    task: "asyncio.Task[None] | None" = None
    answered: bool = False
    """The model has ended; what is left is to keep the result."""
    lost: bool = False
    """Another took it over; it is being cancelled."""
    written: Written = field(default_factory=Written)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """More was written, or its result is kept."""
    kept: Generated | None = None

    def on_token(self, count: int) -> None:
        self.first_token = self.first_token or time.monotonic()
        self.tokens = count
        if isinstance(count, Count) and count.text:
            self.written.add(count.text)
            self.news.set()

    def says(self) -> str:
        """`143 tokens, 11/s`, or how long the first one has been waited for."""
        now = time.monotonic()
        if self.first_token is None:
            return f"{self.choice.engine}: {now - self.began:.0f} s to the first token so far"
        rate = self.tokens / max(now - self.first_token, 0.1)
        return f"{self.tokens} tokens, {rate:.0f}/s"

    def result(self, answer: Answer, *, engine: str, reason: str | None, now: datetime) -> Generated:
        """`now` by the ledger's clock: how long it waited."""
        waited = time.monotonic() - self.began
        queued = (now - self.claim.since).total_seconds() - waited
        return Generated(
            call=self.claim.request.call,
            finish=answer.finish,
            text=answer.text,
            thinking=answer.thinking,
            tool_calls=answer.tool_calls,
            tried=self.claim.tried,
            engine=engine,
            provider=engine.partition("/")[0],
            model=engine.partition("/")[2],
            engine_reason=reason or why_not(self.claim.tried),
            usage=Usage(tokens_in=answer.tokens_in, tokens_out=answer.tokens_out),
            timings=Timings(
                queue_s=round(max(0.0, queued), 3),
                first_token_s=round(answer.first_token_s, 3),
                total_s=round(answer.total_s, 3),
            ),
        )

    def failed(self, reason: str, *, kind: str | None = None) -> Generated:
        return Generated(
            call=self.claim.request.call,
            finish="failed",
            engine=self.choice.engine,
            engine_reason=self.choice.reason,
            tried=self.claim.tried,
            usage=Usage(tokens_out=self.tokens),
            timings=Timings(total_s=round(time.monotonic() - self.began, 3)),
            error=reason,
            error_kind=kind,
        )


def left_s(request: Generate, now: datetime) -> float | None:
    """Seconds that a call may take from now on; None: as long as it likes."""
    until = max(0.0, (request.deadline_at - now).total_seconds()) if request.deadline_at else None
    return min((limit for limit in (until, request.max_s) if limit is not None), default=None)


async def show_life(call: Running, publisher: Publisher, worker: str) -> None:
    """Tells how far a call is, until cancelled."""
    key = call.claim.request.call
    while True:
        await asyncio.sleep(SIGN_OF_LIFE_S)
        sign = StepProgress(goal_id=key.goal_id, step=key.step, worker=worker, text=call.says())
        with contextlib.suppress(WarrenError):
            await publisher.publish(sign, subject=key.goal_id)
