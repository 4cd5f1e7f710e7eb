"""Generation: between whoever needs thinking and inference, the one service that talks to a model."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from shared.contracts.chat import ChatMessage as ChatMessage
from shared.contracts.chat import Tool, ToolCall, check_conversation
from shared.contracts.message import Command, Reply, Value
from shared.contracts.sensitivity import Sensitivity, sensitivity_field

Purpose = Literal["plan", "research", "section", "summary", "repair", "chat", "opinion"]


class CallKey(Value):
    """The ledger's key: the same key is paid for once. `epoch` rises only when somebody wants it done again."""

    goal_id: str
    run: int = 1
    step: str
    epoch: int = 0
    purpose: Purpose
    ordinal: int = 0


class InputPassage(Value):
    """A passage that the answer may cite, by its `id`: `[id]` at the end of a sentence. `position`: 0 is first."""

    id: str
    text: str
    title: str = ""
    heading: str | None = None
    position: int = 0


class Inputs(Value):
    """What the prompt was rendered from. The extractive engine reads this and never the prompt. `limit`: sentences."""

    question: str
    passages: tuple[InputPassage, ...] = ()
    limit: int = 8


class Generate(Command, owner="inference", name="generate"):
    """Think. Answered by `Generated`; the same `call` again is answered from the ledger or joins the running one.

    `engine`: `auto`, `extractive`, `scripted` or `provider/model`. The text that comes back is plain sentences, each
    ending in `[id]` of an input passage (for `plan`: JSON that fits `output_schema`). `max_s`: seconds that the model
    may work on it; waiting for a slot does not count. Asked for in a later run of its goal, a finished answer to the
    same request is taken from the earlier run, unless `fresh`. `stream`: publish its text as it is written
    (`TokensWritten`), for as long as a `ReadTokens` is believed; ask again to go on.

    `tools`: what the model may ask to have called (`Generated.tool_calls`); the results go into the next request, as
    messages. A model that has no use for tools or images fails with `error_kind` `unsupported`.

    `sensitivity`: `restricted` is sent to local model servers only, or fails with `error_kind` `restricted`; an agent's
    calls have that of their goal, at least.
    """

    call: CallKey
    engine: str = "auto"
    messages: tuple[ChatMessage, ...]
    inputs: Inputs
    max_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0, le=2)
    seed: int = 0
    output_schema: dict[str, JsonValue] | None = None
    priority: int = 3
    deadline_at: datetime | None = None
    max_s: float | None = Field(default=None, gt=0)
    fresh: bool = False
    stream: bool = False
    tools: tuple[Tool, ...] = Field(default=(), max_length=64, exclude_if=lambda tools: not tools)
    sensitivity: Sensitivity = sensitivity_field()

    @model_validator(mode="after")
    def _is_a_conversation(self) -> Self:
        check_conversation(self.messages, self.tools)
        return self


class Usage(Value):
    tokens_in: int = 0
    tokens_out: int = 0


class Timings(Value):
    """Seconds: waiting for a slot, to the first token, the whole model call."""

    queue_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0


class Tried(Value):
    """An engine that failed before the one that answered, in the order of its chain (docs/models.md, Routing). `kind`:
    which trouble, as `error_kind`."""

    engine: str
    kind: str
    reason: str = ""


class Generated(Reply, owner="inference", name="generated"):
    """The answer. `finish`: `stop` is success; `length` never is; `unsupported`: this engine cannot do this purpose;
    `failed`: `error` says why, in a sentence that says what to do. `cached`: from the ledger, nothing was paid now.
    `shared`: an equal call of another step or goal, or of an earlier run, has paid for it: it counts in no budget.
    `thinking`: what a model reasoned before its answer, where its server keeps that apart. `cost`: US dollars by the
    table of prices; null when it has none for this model, or nothing came back. `tool_calls`: what the model asks to
    have called before it goes on, with `finish` `stop`. `error_kind`: which trouble it was, in one word (`missing`,
    `busy`, `unsupported`, ...; docs/models.md), where a model server made it. `tried`: engines that failed
    before `engine` was asked, in their order."""

    call: CallKey
    finish: Literal["stop", "length", "unsupported", "failed"]
    text: str = ""
    engine: str
    engine_reason: str | None = None
    usage: Usage = Usage()
    timings: Timings = Timings()
    cached: bool = False
    error: str | None = None
    thinking: str = ""
    provider: str = ""
    model: str = ""
    cost: float | None = None
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=lambda calls: not calls)
    error_kind: str | None = Field(default=None, exclude_if=lambda kind: kind is None)
    shared: bool = Field(default=False, exclude_if=lambda shared: not shared)
    tried: tuple[Tried, ...] = Field(default=(), exclude_if=lambda tried: not tried)


class Embed(Command, owner="inference", name="embed"):
    """Vectors for texts, in order. Answered by `Embedded`, or `Refused`: error `no_embedder` where no host has an
    embedding model, `embedding_failed` where no text got a vector. Of a text the first 8,000 characters count.
    `sensitivity`: as in `Generate`; `no_embedder` where no local host has the model."""

    texts: tuple[str, ...] = Field(min_length=1, max_length=256)
    engine: str = "auto"
    sensitivity: Sensitivity = sensitivity_field()


class Embedded(Reply, owner="inference", name="embedded"):
    """`vectors`: of length 1 (a dot product is the cosine), by the model that `engine` names; those of two models have
    nothing in common. `failed`: index of a text -> why it has none; its vector is empty."""

    engine: str
    vectors: tuple[tuple[float, ...], ...]
    failed: dict[int, str] = Field(default_factory=dict)


class DescribeEngine(Command, owner="inference", name="describe_engine"):
    """Which engine would answer `engine` now, and why? Answered by `EngineDescribed`."""

    engine: str = "auto"
    sensitivity: Sensitivity = sensitivity_field()


class EngineDescribed(Reply, owner="inference", name="engine_described"):
    """`engine`: `ollama/<model>` or `extractive`. `reason`: why not another, with what to do; null when all is well.
    `usable` is false when the engine that was named cannot be had."""

    engine: str
    usable: bool = True
    reason: str | None = None
    slots: int = 1
    running: int = 0
    waiting: int = 0
