"""Settings of inference."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from services.inference.routing import Routing
from services.inference.routing_file import read_routing
from shared.errors import ConfigurationError
from shared.runtime.settings import MeshSettings

ROOT = Path(__file__).resolve().parents[2]


class Settings(MeshSettings):
    """`model`: `ollama/gemma3:4b`, `openai/NAME`, `anthropic/NAME`, `llamacli/FILE`, `extractive`, `scripted`,
    `replay`; "" lets `auto` choose. `slots`: calls at once per host."""

    model: str = ""
    ollama_urls: str = "http://127.0.0.1:11434"
    """Comma list of hosts."""
    openai_urls: str = ""
    """Comma list of OpenAI-compatible servers (llama-server, vLLM, LM Studio, gateways)."""
    openai_api_key: SecretStr = SecretStr("")
    """Sent to every server of `openai_urls`; most local ones want none."""
    openai_api_key_file: Path | None = None
    """Where the key stands, instead."""
    anthropic_url: str = "https://api.anthropic.com"
    anthropic_api_key: SecretStr = SecretStr("")
    """Without one Anthropic is not asked."""
    anthropic_api_key_file: Path | None = None
    """Where the key stands, instead."""
    llamacli: str = "llama-completion"
    """llama.cpp's program for the command line."""
    llamacli_folder: Path | None = None
    """Of the GGUF files that it may load; none turns it off."""
    prices: Path = ROOT / "infra" / "prices.toml"
    """What tokens cost, by model."""
    routing: Path | None = None
    """What may be sent where; none: `infra/routing.toml`, if it is there."""
    embed_model: str = ""
    """"" takes the first embedding model that a host has."""
    slots: int = Field(default=1, ge=1, le=64)
    num_ctx: int = Field(default=8192, ge=1024)
    """One value for the process's life: a changed one makes Ollama load the model again."""
    first_token: timedelta = timedelta(seconds=300)
    """Silence before the first token, loading included, after which a host is given up."""
    between_tokens: timedelta = timedelta(seconds=60)
    probe_every: timedelta = timedelta(seconds=5)
    """How long what was found at a host is believed."""
    host_wait: timedelta = timedelta(minutes=5)
    """How long calls that name their engine wait for its only host to be back."""
    lease: timedelta = timedelta(seconds=30)
    """A running call of an instance that stopped renewing its lease is run again by another."""
    ledger_kept: timedelta = timedelta(days=7)
    """How long the ledger remembers a call."""
    cache_kept: timedelta = timedelta(days=1)
    """How long the answer to a deterministic request serves other calls with the same one; 0: never."""
    cache_entries: int = Field(default=10_000, ge=0)
    """How many answers do, the newest."""
    sessions_kept: timedelta = timedelta(days=90)
    """How long a conversation is kept after its last turn."""
    record: Path | None = None
    """Where each answer of a model server is added, with what was asked."""
    replay: Path | None = None
    """Recorded calls, from which the engine `replay` answers."""
    script: Path | None = None
    """Answers of the `scripted` engine (for tests)."""

    @property
    def urls(self) -> tuple[str, ...]:
        return _addresses(self.ollama_urls)

    @property
    def openai_servers(self) -> tuple[str, ...]:
        return _addresses(self.openai_urls)

    @property
    def rules(self) -> Routing:
        """Raises ConfigurationError that names file, line and field."""
        path = self.routing or ROOT / "infra" / "routing.toml"
        return read_routing(path) if self.routing or path.exists() else Routing()

    @property
    def openai_key(self) -> str:
        """Raises ConfigurationError when the key's file cannot be read."""
        return _key(self.openai_api_key, self.openai_api_key_file, name="WARREN_OPENAI_API_KEY_FILE")

    @property
    def anthropic_server(self) -> str:
        return next(iter(_addresses(self.anthropic_url)), "https://api.anthropic.com")

    @property
    def anthropic_key(self) -> str:
        """ "" for none. Raises ConfigurationError when the key's file cannot be read."""
        return _key(self.anthropic_api_key, self.anthropic_api_key_file, name="WARREN_ANTHROPIC_API_KEY_FILE")


def _key(key: SecretStr, file: Path | None, *, name: str) -> str:
    if file is None:
        return key.get_secret_value()
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"  # never what stands in it
        raise ConfigurationError(f"{name} {file}: {why}") from None


def _addresses(listed: str) -> tuple[str, ...]:
    found = (url.strip().rstrip("/") for url in listed.split(","))
    return tuple(url if "://" in url else f"http://{url}" for url in found if url)
