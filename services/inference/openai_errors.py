"""From what the `openai` client raises to what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.inference.generation import EngineFailed

if TYPE_CHECKING:
    import openai

UNABLE = (
    "not support",
    "unsupported",
    "only supported",
    "requires --",
    "support tool use",
    "support image",
    "multimodal",
)
"""How servers say that a model has no use for tools or images; llama-server and vLLM want an option for tools."""
TOO_LONG = ("context_length", "context size", "context length", "exceed_context")


def typed_error(error: Exception, *, url: str, model: str) -> EngineFailed:
    """`model`: "" when it was not about one."""
    if isinstance(error, OSError):
        return _refused(url)
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        return _of_status(error, url=url, model=model)
    if isinstance(error, (openai.APITimeoutError, httpx2.TimeoutException)):
        return EngineFailed("silent", f"{url} said nothing for too long: is the host overloaded?")
    if isinstance(error, openai.APIConnectionError):
        if isinstance(error.__cause__, httpx2.ConnectError):
            return _refused(url)
        return _broken(url, type(error.__cause__ or error).__name__)
    if isinstance(error, httpx2.HTTPError):
        return _broken(url, type(error).__name__)
    if isinstance(error, openai.APIError):  # an error in the middle of a stream, whose status was 200
        return EngineFailed("memory" if "memory" in str(error) else "broken", f"{url} broke off: {_said(error)}")
    return EngineFailed("broken", f"{url}: {type(error).__name__}: {error}: is this an OpenAI-compatible server?")


def _of_status(error: openai.APIStatusError, *, url: str, model: str) -> EngineFailed:
    said, status = _said(error), error.status_code
    if status in (401, 403):
        own = "WARREN_OPENAI_API_KEY (or _FILE), or its own by infra/routing.toml"
        return EngineFailed("denied", f"{url} does not accept the key: set {own}: {said}")
    if any(word in said.lower() or word in str(error.code) for word in TOO_LONG):
        return EngineFailed("too_long", f"{url}: {said}: ask with fewer passages, or give the server more context")
    if any(word in said.lower() for word in UNABLE):
        return EngineFailed("unsupported", f"{url}: {said}: name another model in WARREN_MODEL, or start it otherwise")
    if status == 404 and model:
        return EngineFailed("missing", f"{url} does not have {model}: name one that it lists (`warren models list`)")
    if status == 404:
        return EngineFailed("broken", f"{url} has no /models: does the address end in the server's /v1?")
    if status in (429, 503):
        return EngineFailed("busy", _busy(error, said, url=url))
    if "memory" in said:
        return EngineFailed("memory", f"{url}: {said}: take a smaller model, or free memory")
    return EngineFailed("broken", f"{url} answered: {said} (status {status})")


def _busy(error: openai.APIStatusError, said: str, *, url: str) -> str:
    """Full, still loading, or out of what was paid for; with how long the server wants to be left alone."""
    if "loading" in said.lower():
        return f"{url} is loading its model: try again when it has"
    if "quota" in said.lower():
        return f"{url}: {said}: its account has nothing left"
    wait = error.response.headers.get("retry-after")
    when = f"try again in {wait} s, " if wait else ""
    return f"{url} is full (status {error.status_code}): {when}ask fewer at a time (WARREN_SLOTS), or add a host"


def _said(error: openai.APIError) -> str:
    """The server's own words, bounded."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error.message).split())[:300]


def _refused(url: str) -> EngineFailed:
    return EngineFailed("refused", f"{url} refused: is the server running, and is WARREN_OPENAI_URLS its address?")


def _broken(url: str, how: str) -> EngineFailed:
    return EngineFailed("broken", f"{url} broke off ({how}): is the server restarting?")
