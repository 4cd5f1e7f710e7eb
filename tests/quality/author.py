"""A model that writes: whatever the mesh asks of one goes to a real Ollama, and its answers are counted."""

import time
from dataclasses import dataclass

from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from shared.contracts.generation import Generate, Generated, Usage

CALL_S = 120.0
"""For one call: what takes longer failed, as it would where a goal has a deadline."""


@dataclass
class ModelAuthor:
    """`host` has `model`. `calls`, `unfinished` of them, `tokens` written and `seconds`: so far."""

    host: OllamaHost
    model: str
    calls: int = 0
    unfinished: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def engine(self) -> str:
        return f"ollama/{self.model}"

    def line(self) -> str:
        return (
            f"{self.engine}: {self.calls} calls, {self.unfinished} of them without an end, {self.tokens} tokens, "
            f"{self.seconds:.0f} s"
        )

    async def __call__(self, request: Generate) -> Generated:
        """Its answer as inference gives it. Never raises: a call that failed says so."""
        began = time.monotonic()
        self.calls += 1
        try:
            answer = await self.host.chat(self.model, request.model_copy(update={"max_s": CALL_S}), lambda tokens: None)
        except EngineFailed as failed:
            self.unfinished += 1
            return Generated(call=request.call, engine=self.engine, finish="length", error=str(failed))
        finally:
            self.seconds += time.monotonic() - began
        self.unfinished += answer.finish != "stop"
        self.tokens += answer.tokens_out
        usage = Usage(tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)
        return Generated(call=request.call, engine=self.engine, finish=answer.finish, text=answer.text, usage=usage)
