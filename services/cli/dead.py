"""`warren dead`: messages that can never succeed, each with its reason."""

from __future__ import annotations

from services.cli.console import duration, one_line, print_json, print_table
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async

HELP = "Look at dead letters: messages that could not be handled, with the reason."


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
        if seen.trace:
            print(f"\n{seen.trace}")
        print(f"\n{seen.body}")
        return Exit.DONE

    return run_async(work)


COMMANDS = {"list": list_, "show": show}
