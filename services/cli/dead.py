"""`warren dead`: messages that can never succeed, each with its reason; and the ways out for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import duration, one_line, print_json, print_table, say
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from shared.contracts.dead_letters import Crash, DropDeadLetters, RetryDeadLetters

HELP = "Dead letters: messages that could not be handled. Look at them, put them back, correct or drop them."


def list_(*, limit: int = 100, as_json: AsJson = False, url: Url = None) -> int:
    """List dead letters, newest first.

    Parameters
    ----------
    limit: How many at most.
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.dead_letters import DeadLettersListed, ListDeadLetters

    command = checked(ListDeadLetters, limit=limit)

    async def work() -> int:
        async with connected(url) as client:
            letters = (await client.ask(command, DeadLettersListed)).dead_letters
        if as_json:
            print_json(letters)
            return Exit.DONE
        rows = [
            (d.id, f"{duration(d.age_s)} ago", d.queue, d.attempts, (d.goal_id or "")[:8], one_line(d.reason, 300))
            for d in letters
        ]
        print_table(("id", "parked", "queue", "attempts", "goal", "reason"), rows, empty="no dead letters")
        return Exit.DONE

    return run_async(work)


def show(letter: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Show one dead letter: its reason, headers and body.

    Parameters
    ----------
    letter: Its id.
    """
    from services.cli.connection import connected
    from shared.contracts.dead_letters import DeadLetterShown, ShowDeadLetter

    async def work() -> int:
        async with connected(url) as client:
            seen = await client.ask(ShowDeadLetter(id=letter), DeadLetterShown)
        if as_json:
            print_json(seen)
            return Exit.DONE
        dead = seen.dead_letter
        print(f"id        {dead.id}\nreason    {dead.reason}\nqueue     {dead.queue}\ntype      {seen.type or '?'}")
        print(f"attempts  {dead.attempts}\ngoal      {dead.goal_id or '-'}\nparked    {duration(dead.age_s)} ago")
        for name, value in seen.headers.items():
            print(f"header    {name}: {one_line(str(value), 300)}")
        for crash in seen.crashes:
            _print_crash(crash)
        if seen.trace:
            print(f"\n{seen.trace}")
        print(f"\n{seen.body}")
        return Exit.DONE

    return run_async(work)


def _print_crash(crash: Crash) -> None:
    """How a process ended that held the message, and its last words."""
    alone = "with nothing else in hand" if crash.held == 1 else f"with {crash.held} messages in hand"
    print(f"\ncrash     {crash.worker}, {duration(crash.ago_s)} ago, {alone}: {crash.reason}")
    memory = f"{crash.memory_mb} MB at most" if crash.memory_mb is not None else "unknown"
    print(f"  exit    code {crash.exit_code if crash.exit_code is not None else '-'}, signal {crash.signal or '-'}")
    print(f"  memory  {memory}{', killed for want of memory' if crash.out_of_memory else ''}")
    for line in crash.last_lines:
        print(f"  | {one_line(line, 200)}")


def retry(*letters: str, as_json: AsJson = False, url: Url = None) -> int:
    """Put dead letters back where they came from, each exactly once, when what was in their way is gone.

    Parameters
    ----------
    letters: Their ids, or the first eight characters of them.
    """
    from shared.contracts.dead_letters import RetryDeadLetters

    return _each(RetryDeadLetters, letters, "put back", as_json=as_json, url=url)


def drop(*letters: str, as_json: AsJson = False, url: Url = None) -> int:
    """Forget dead letters for good.

    Parameters
    ----------
    letters: Their ids, or the first eight characters of them.
    """
    from shared.contracts.dead_letters import DropDeadLetters

    return _each(DropDeadLetters, letters, "dropped", as_json=as_json, url=url)


def edit(
    letter: str,
    /,
    *,
    body: Annotated[Path | None, Parameter(help="Take the new body from this file; - is stdin.")] = None,
    kind: Annotated[str | None, Parameter(name="--type", help="Another message type, e.g. submit_goal.v1.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Correct a dead letter and send it as a new message. Without --body it opens $EDITOR, or reads a piped stdin.

    Parameters
    ----------
    letter: Its id, or the first eight characters of it.
    """
    from services.cli.connection import connected
    from services.cli.correct import checked_body, corrected
    from shared.contracts.dead_letters import DeadLetterSent, DeadLetterShown, EditDeadLetter, ShowDeadLetter

    async def work() -> int:
        async with connected(url) as client:
            seen = await client.ask(ShowDeadLetter(id=letter), DeadLetterShown)
            text = corrected(seen, body)
            if text is None:
                say("nothing was changed, nothing was sent")
                return Exit.CANCELLED
            checked_body(text, kind or seen.type or "")
            command = EditDeadLetter(id=seen.dead_letter.id, body=text, type=kind)
            sent = await client.ask(command, DeadLetterSent)
        if as_json:
            print_json(sent)
        else:
            say(f"sent as {sent.message_id}")
            if sent.goal_id:
                say(f"goal {sent.goal_id}: warren watch {sent.goal_id}")
        return Exit.DONE

    return run_async(work)


def _each(
    contract: type[RetryDeadLetters] | type[DropDeadLetters],
    letters: tuple[str, ...],
    word: str,
    *,
    as_json: bool,
    url: str | None,
) -> int:
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.message import Done

    if not letters:
        raise UsageError("name at least one dead letter: `warren dead list` shows their ids")
    command = checked(contract, ids=tuple(dict.fromkeys(letters)))

    async def work() -> int:
        async with connected(url) as client:
            done = await client.ask(command, Done, deadline_s=30)
        asked = len(command.ids)
        if as_json:
            print_json({"asked": asked, "count": done.count})
        else:
            missing = "" if done.count == asked else f"; {asked - done.count} not there (any more)"
            say(f"{done.count} of {asked} {word}{missing}")
        return Exit.DONE if done.count == asked else Exit.FAILED

    return run_async(work)


COMMANDS = {"list": list_, "show": show, "retry": retry, "edit": edit, "drop": drop}
