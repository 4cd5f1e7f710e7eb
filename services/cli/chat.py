"""`warren chat`: a conversation with a model that inference keeps. `warren sessions`: those there are."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from cyclopts import Parameter

from services.cli.console import ago, lively, one_line, plain, print_json, print_table, say
from services.cli.options import AsJson, Url
from services.cli.outcome import CommandFailed, Exit, UsageError, run_async

if TYPE_CHECKING:
    from shared.runtime.sessions import Conversation

HELP = "List, show, save, load and forget conversations."
GREETING = "an empty line or Ctrl-D ends it"


def chat(
    question: str | None = None,
    /,
    *,
    session: Annotated[str | None, Parameter(show_default=False)] = None,
    engine: str = "auto",
    system: str = "",
    strategy: str = "keep_system",
    temperature: float = 0.7,
    max_tokens: int = 1024,
    context: int = 8192,
    sensitivity: str = "internal",
    url: Url = None,
) -> int:
    """Talk with a model; the conversation is kept, and nothing in it is paid for twice.

    The answer goes to stdout as it is written. Without a question, questions are read from stdin, a line each. The
    settings of a session that exists stay what they are.

    Parameters
    ----------
    question: One question; then it ends.
    session: The session to begin or to go on with [default: a new one].
    engine: `auto` or `provider/model`.
    system: What the model is told before anything else.
    strategy: When it gets too long for the model: keep_system, window or summarise.
    temperature: 0 says the same each time.
    max_tokens: The longest answer.
    context: Tokens of question, history and answer together; not above WARREN_NUM_CTX of inference.
    sensitivity: public, internal, or restricted: then local models only, for the whole session from now on.
    """
    from services.cli.checked import checked
    from shared.contracts.sessions import Session

    wanted = checked(
        Session,
        session_id=session or uuid4().hex[:12],
        system=system,
        engine=engine,
        strategy=strategy,
        temperature=temperature,
        max_tokens=max_tokens,
        context=context,
        sensitivity=sensitivity,
    )

    async def work() -> int:
        from services.cli.connection import connected
        from shared.runtime.sessions import Conversation

        async with connected(url) as client:
            talk = await Conversation.open(client, wanted)
            told = f"session {talk.session.session_id}"
            say(told + (f", {len(talk.turns)} turns so far" if talk.turns else ""))
            if question is not None:
                return await answer(talk, question)
            return await _converse(talk)

    return run_async(work)


async def _converse(talk: Conversation) -> int:
    person = lively(sys.stdin)
    if person:
        say(GREETING)
    code = int(Exit.DONE)
    while True:
        if person:
            print("> ", end="", file=sys.stderr, flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line or (person and not line.strip()):
            return code
        if line.strip():
            code = await answer(talk, line.strip())
            if code and not person:
                return code


async def answer(talk: Conversation, question: str) -> int:
    """Asks and prints; the exit code. Raises CommandFailed when somebody else went on with the session."""
    from shared.errors import RequestFailed
    from shared.runtime.sessions import went_on
    from shared.runtime.tokens import Ended, Restarted, Text

    code = int(Exit.DONE)
    try:
        async with contextlib.aclosing(talk.say(question)) as pieces:
            async for piece in pieces:
                match piece:
                    case Text(text):
                        print(text, end="", flush=True)
                    case Restarted():
                        print("\n", end="", flush=True)
                        say("(the model's server or inference died: again from the beginning)")
                    case Ended(result):
                        print(flush=True)
                        if result.finish in ("failed", "unsupported"):
                            say(f"no answer: {result.error or result.engine_reason or 'this engine cannot chat'}")
                            code = int(Exit.FAILED)
                        elif result.finish == "length":
                            say("(cut: --max-tokens of a new session allows longer answers)")
    except RequestFailed as error:
        if not went_on(error):
            raise
        hint = "what you saw was answered and not kept; say it again"
        raise CommandFailed("this session went on elsewhere meanwhile", hint=hint) from None
    return code


def list_(*, limit: int = 50, as_json: AsJson = False, url: Url = None) -> int:
    """List the conversations used last.

    Parameters
    ----------
    limit: How many at most.
    """
    from services.cli.checked import checked
    from shared.contracts.sessions import ListSessions, SessionsListed

    command = checked(ListSessions, limit=limit)

    async def work() -> None:
        from services.cli.connection import connected

        async with connected(url) as client:
            listed = await client.ask(command, SessionsListed)
        if as_json:
            print_json(listed)
            return
        now = datetime.now(UTC)
        rows = [(s.session_id, s.turns, s.engine, ago(s.used_at or now, now), s.title) for s in listed.sessions]
        print_table(("session", "turns", "engine", "used", "begins with"), rows, empty="no conversations yet")
        if listed.more:
            say(f"{listed.more} older ones are not shown")

    return run_async(work)


def show(session: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Show a conversation.

    Parameters
    ----------
    session: Its id.
    """

    async def work() -> None:
        talk = await _read(session, url)
        if as_json:
            print_json({"session": plain(talk.session), "turns": plain(talk.turns)})
            return
        for turn in talk.turns:
            print(f"> {turn.question}\n\n{turn.answer}\n", flush=True)

    return run_async(work)


def save(session: str, file: Path, /, *, url: Url = None) -> int:
    """Save a conversation to a file.

    Parameters
    ----------
    session: Its id.
    file: Where to; JSON. It must not exist.
    """
    import json

    async def work() -> None:
        talk = await _read(session, url)
        saved = {"session": plain(talk.session), "turns": plain(talk.turns)}
        with file.open("x", encoding="utf-8") as out:
            json.dump(saved, out, ensure_ascii=False, indent=2)
        say(f"{len(talk.turns)} turns saved to {file}")

    return run_async(work)


def load(file: Path, /, *, session: str | None = None, url: Url = None) -> int:
    """Load a conversation that `save` has written, as a new session. Interrupted, it goes on when asked again.

    Parameters
    ----------
    file: What `save` has written.
    session: The id it gets [default: the one it had].
    """
    from services.cli.checked import checked
    from shared.contracts.message import Done
    from shared.contracts.sessions import KeepTurn, OpenSession, Session, SessionShown, Turn

    saved = _file(file)
    wanted = checked(Session, **saved["session"])
    wanted = wanted.model_copy(update={"session_id": session or wanted.session_id})
    turns = [checked(Turn, **turn) for turn in saved["turns"]]

    async def work() -> None:
        from services.cli.connection import connected

        async with connected(url) as client:
            await client.ask(OpenSession(session=wanted), SessionShown)
            for turn in turns:
                summary = wanted.summary if wanted.summary and wanted.summary.upto < turn.number else None
                await client.ask(KeepTurn(session_id=wanted.session_id, turn=turn, summary=summary), Done)
        say(f"{len(turns)} turns loaded; `warren chat --session {wanted.session_id}` goes on")

    return run_async(work)


def remove(session: str, /, *, url: Url = None) -> int:
    """Forget a conversation.

    Parameters
    ----------
    session: Its id.
    """

    async def work() -> None:
        from services.cli.connection import connected
        from shared.contracts.message import Done
        from shared.contracts.sessions import DropSession

        async with connected(url) as client:
            done = await client.ask(DropSession(session_id=session), Done)
        say(f"{done.count} turns forgotten")

    return run_async(work)


COMMANDS = {"list": list_, "show": show, "save": save, "load": load, "rm": remove}


async def _read(session: str, url: str | None) -> Conversation:
    from services.cli.connection import connected
    from shared.contracts.sessions import Session
    from shared.runtime.sessions import Conversation

    async with connected(url) as client:
        talk = Conversation(client, Session(session_id=session))
        await talk.reload()
        return talk


def _file(path: Path) -> dict[str, Any]:
    import json

    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {one_line(str(error))}") from None
    if not isinstance(saved, dict) or set(saved) != {"session", "turns"}:
        raise UsageError(f"{path} is not a saved conversation: it needs `session` and `turns`")
    return saved
