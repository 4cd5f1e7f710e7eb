"""What a step's model calls cost, and what they may cost: its part of the goal's budget is kept to here."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.contracts.generation import Generate, Generated
from shared.contracts.steps import RunStep, StepUsage

FREE = "extractive"
"""The engine that is no model and costs nothing."""
CHARACTERS = 3
"""Of a prompt that are taken for a token: on the safe side for prose, so that a call rarely costs more than allowed."""
MIN_ANSWER = 64
"""Tokens. An answer that must be shorter than this is not worth its prompt."""


@dataclass
class Spending:
    """Of one step. `answers`: what its calls brought so far; `cut_short`: a call was refused."""

    step: RunStep
    answers: list[Generated] = field(default_factory=list)
    cut_short: bool = False

    @property
    def usage(self) -> StepUsage:
        return usage_of(self.answers)

    def bounded(self, request: Generate) -> Generate:
        """The request with no more tokens and seconds than are left."""
        left_s, tokens = self._left_s(), self._tokens_for_answer(request)
        if request.engine == FREE or (left_s is None and tokens is None):
            return request
        limits: dict[str, float | None] = {"max_s": left_s}
        if tokens is not None:
            limits |= {"max_tokens": min(request.max_tokens, tokens)}
        return request.model_copy(update=limits)

    def refusal(self, request: Generate) -> Generated | None:
        """The answer to a call that what is left does not allow; None when it does. Says that work was cut short."""
        if request.engine == FREE:
            return None
        left_s, tokens = self._left_s(), self._tokens_for_answer(request)
        if (left_s is None or left_s > 0) and (tokens is None or tokens >= min(MIN_ANSWER, request.max_tokens)):
            return None
        self.cut_short = True
        engine = next((a.engine for a in self.answers if a.engine != FREE), "the model")
        reason = f"{self._allowed()} do not allow this call"
        return Generated(call=request.call, finish="failed", engine=engine, error=reason)

    def _allowed(self) -> str:
        step, used = self.step, self.usage
        parts = []
        if step.budget_tokens is not None:
            parts.append(f"{used.tokens_in + used.tokens_out:,} of {step.budget_tokens:,} tokens")
        if step.budget_s is not None:
            parts.append(f"{used.model_s:.1f} of {step.budget_s:.1f} seconds")
        return f"the goal's budget: {' and '.join(parts)} used by this step"

    def _left_s(self) -> float | None:
        return None if self.step.budget_s is None else self.step.budget_s - self.usage.model_s

    def _tokens_for_answer(self, request: Generate) -> int | None:
        if self.step.budget_tokens is None:
            return None
        used = self.usage
        prompt = sum(len(message.content) for message in request.messages) // CHARACTERS + 1
        return self.step.budget_tokens - used.tokens_in - used.tokens_out - prompt


def usage_of(answers: Iterable[Generated]) -> StepUsage:
    """What these answers cost. The built-in extractive engine is no model and costs nothing; nor does what an equal
    call has paid for. The ledger's answer to the same call counts: who asked the first time may have died since."""
    paid = [answer for answer in answers if answer.engine != FREE and not answer.shared]
    return StepUsage(
        calls=len(paid),
        tokens_in=sum(answer.usage.tokens_in for answer in paid),
        tokens_out=sum(answer.usage.tokens_out for answer in paid),
        model_s=round(sum(answer.timings.total_s for answer in paid), 3),
    )
