"""From what the `anthropic` client raises to what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.inference.generation import EngineFailed

if TYPE_CHECKING:
    import anthropic

INSTALL = 'pip install "warren[anthropic]" (infra/setup --anthropic in a checkout)'
BUSY = (429, 503, 529)
TOO_LONG = ("prompt is too long", "context window", "context limit", "too many tokens")
UNABLE = ("not support", "unsupported")


def not_installed(url: str) -> str:
    return f"{url}: the package `anthropic` is not installed: {INSTALL}, or unset WARREN_ANTHROPIC_API_KEY"


def typed_error(error: Exception, *, url: str, model: str) -> EngineFailed:
    """`model`: "" when it was not about one."""
    if isinstance(error, ImportError):
        return EngineFailed("unsupported", not_installed(url))
    if isinstance(error, OSError):
        return _refused(url)
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error, url=url, model=model)
    if isinstance(error, (anthropic.APITimeoutError, httpx2.TimeoutException)):
        return EngineFailed("silent", f"{url} said nothing for too long: is the host overloaded?")
    if isinstance(error, anthropic.APIConnectionError) and isinstance(error.__cause__, httpx2.ConnectError):
        return _refused(url)
    if isinstance(error, (anthropic.APIConnectionError, httpx2.HTTPError)):
        how = type(error.__cause__ or error).__name__
        return EngineFailed("broken", f"{url} broke off ({how}): is the server restarting?")
    return EngineFailed("broken", f"{url}: {type(error).__name__}: {error}: does it speak the messages API?")


def _of_status(error: anthropic.APIStatusError, *, url: str, model: str) -> EngineFailed:
    """An error in the middle of a stream has the status 200: there its type tells."""
    said, status, kind = _said(error), error.status_code, str(error.type or "")
    if status in (401, 403) or kind in ("authentication_error", "permission_error"):
        return EngineFailed("denied", f"{url} does not accept the key: set WARREN_ANTHROPIC_API_KEY (or _FILE): {said}")
    if status == 402 or kind == "billing_error" or "credit balance" in said.lower():
        return EngineFailed("denied", f"{url}: {said}: its account has nothing left")
    if status == 413 or any(word in said.lower() for word in TOO_LONG):
        return EngineFailed("too_long", f"{url}: {said}: ask with fewer passages")
    if status in BUSY or kind in ("rate_limit_error", "overloaded_error"):
        wait = error.response.headers.get("retry-after")
        when = f"try again in {wait} s, " if wait else ""
        return EngineFailed("busy", f"{url} is full ({kind or status}): {when}ask fewer at a time (WARREN_SLOTS)")
    if status == 404 and model:
        return EngineFailed("missing", f"{url} does not have {model}: name one that it lists (`warren models list`)")
    if status == 400 and any(word in said.lower() for word in UNABLE):
        return EngineFailed("unsupported", f"{url}: {said}: name another model in WARREN_MODEL")
    return EngineFailed("broken", f"{url} answered: {said} (status {status})")


def _said(error: anthropic.APIStatusError) -> str:
    """The server's own words, bounded."""
    return " ".join(str(error.api_message or error.message).split())[:300]


def _refused(url: str) -> EngineFailed:
    return EngineFailed("refused", f"{url} refused: is WARREN_ANTHROPIC_URL its address, and is there a network?")
