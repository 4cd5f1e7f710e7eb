"""Models: between whoever looks after them and inference, which talks to the hosts that hold them.

Each command may be given a `host`, as `WARREN_OLLAMA_URLS` spells it; without one, inference chooses. A refusal's
`error` is one of `missing`, `refused`, `unknown_host`, `busy`, `memory`, `silent`, `unsupported`, `broken`.
"""

from datetime import datetime

from pydantic import Field, JsonValue

from shared.contracts.message import Command, Reply, Value


class ModelHeld(Value):
    """A model on the disk of a host. `size_bytes` and `memory_bytes`: 0 when the host does not say, or has not loaded
    it. `context`: tokens that the loaded model has room for. `until`: when an idle model is unloaded."""

    name: str
    size_bytes: int = 0
    parameters: str = ""
    quantization: str = ""
    chats: bool = True
    embeds: bool = False
    loaded: bool = False
    memory_bytes: int = 0
    context: int | None = None
    until: datetime | None = None


class ModelHost(Value):
    """A host and what it has; `error` says why it cannot be used, with what to do. `version`: of its server, "" where
    it does not say."""

    url: str
    error: str | None = None
    models: tuple[ModelHeld, ...] = ()
    version: str = ""


class ListModels(Command, owner="inference", name="list_models"):
    """What does each host have, and what is loaded? Answered by `ModelsListed`; changes nothing."""


class ModelsListed(Reply, owner="inference", name="models_listed"):
    hosts: tuple[ModelHost, ...]


class ShowModel(Command, owner="inference", name="show_model"):
    """What is this model? Answered by `ModelShown`; changes nothing."""

    model: str = Field(min_length=1, max_length=300)
    host: str = ""


class ModelShown(Reply, owner="inference", name="model_shown"):
    """`context`: the most tokens that the model can read, null when its file does not say. `settings`: its own
    defaults, a line each. `capabilities`: as the host names them."""

    host: str
    model: str
    family: str = ""
    parameters: str = ""
    quantization: str = ""
    context: int | None = None
    capabilities: tuple[str, ...] = ()
    settings: str = ""
    template: str = ""


class PullModel(Command, owner="inference", name="pull_model"):
    """Fetch a model from its library, onto the first host that answers. Answered by `ModelPulled` within about a
    second, finished or not: ask again until `done`. Asking twice is harmless, and what a dead process had fetched is
    not fetched again. A pull that nobody asks after goes on all the same."""

    model: str = Field(min_length=1, max_length=300)
    host: str = ""


class ModelPulled(Reply, owner="inference", name="model_pulled"):
    """How far it is. `status`: the host's own words. Bytes of the part that is being fetched; 0 when unknown."""

    host: str
    model: str
    status: str = ""
    completed_bytes: int = 0
    total_bytes: int = 0
    done: bool = False


class PreloadModel(Command, owner="inference", name="preload_model"):
    """Load a model before it is needed, with the context that later calls use. Answered by `ModelReady`."""

    model: str = Field(min_length=1, max_length=300)
    host: str = ""
    keep_s: float | None = Field(default=None, gt=0)
    """Seconds that it stays loaded when idle; null leaves it to the host."""


class ModelReady(Reply, owner="inference", name="model_ready"):
    """`seconds`: what loading took; almost nothing when it was loaded."""

    host: str
    model: str
    seconds: float


class UnloadModel(Command, owner="inference", name="unload_model"):
    """Free a model's memory, on every host that has it. Answered by `Done`, `count` hosts. Calls load it again."""

    model: str = Field(min_length=1, max_length=300)
    host: str = ""


class RemoveModel(Command, owner="inference", name="remove_model"):
    """Delete a model from the disk of every host that has it. Answered by `Done`, `count` hosts."""

    model: str = Field(min_length=1, max_length=300)
    host: str = ""


class CopyModel(Command, owner="inference", name="copy_model"):
    """Give a model a second name, on every host that has it; what had that name is replaced. Answered by `Done`,
    `count` hosts. May be repeated."""

    model: str = Field(min_length=1, max_length=300)
    to: str = Field(min_length=1, max_length=300)
    host: str = ""


class CreateModel(Command, owner="inference", name="create_model"):
    """Make a model of another: with a system prompt, a template or parameters of its own, on every host that has the
    `base`; what had that name is replaced. Answered by `Done`, `count` hosts. May be repeated.

    `parameters`: as Ollama names them (`temperature`, `stop`, ...); what a call sets itself overrules them."""

    model: str = Field(min_length=1, max_length=300)
    base: str = Field(min_length=1, max_length=300)
    system: str | None = None
    template: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    host: str = ""
