"""`warren tokens`: what the model calls of a goal cost, and what was not paid again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from services.cli.console import duration, plain, print_json, print_table, say
from services.cli.options import AsJson, Url
from services.cli.outcome import CommandFailed, Exit, run_async

if TYPE_CHECKING:
    from shared.contracts.goals import GoalSummary
    from shared.contracts.tokens import CallCost, TokensShown

HEADINGS = ("step", "call", "run", "engine", "in", "out", "seconds", "spent", "saved", "how")


def tokens(goal: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Show what a goal spent on model calls and what it saved, by step and call.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from shared.contracts.tokens import ShowTokens, TokensShown

    async def work() -> int:
        async with connected(url) as client:
            about = (await shown(client, goal)).goal
            seen = await client.ask(ShowTokens(goal_id=about.goal_id), TokensShown)
        refuse_forgotten(about, seen, now=datetime.now(UTC))
        if as_json:
            calls = [{**plain(call), "spent": call.spent, "saved": call.saved} for call in seen.calls]
            print_json({**plain(seen), "calls": calls, "total": total(seen.calls)})
            return Exit.DONE
        print_table(HEADINGS, rows(seen.calls), empty="no model calls yet")
        if seen.more:
            say(f"{seen.more} older calls are not shown, and not in the sum")
        return Exit.DONE

    return run_async(work)


def refuse_forgotten(goal: GoalSummary, seen: TokensShown, *, now: datetime) -> None:
    """No calls: fine for a young goal, but an older one's may be forgotten. Raises CommandFailed then."""
    kept = timedelta(seconds=seen.kept_s)
    if not seen.calls and goal.created_at < now - kept:
        reason = f"the calls of {goal.goal_id} are forgotten: the ledger keeps them {duration(seen.kept_s)}"
        raise CommandFailed(reason, hint="keep them longer: WARREN_LEDGER_KEPT")


def rows(calls: Sequence[CallCost]) -> list[tuple[object, ...]]:
    """A line for each call, by step, and the sum."""
    first = {call.step: at for at, call in reversed(list(enumerate(calls)))}
    ordered = sorted(calls, key=lambda call: first[call.step])
    lines: list[tuple[object, ...]] = [
        (
            call.step,
            f"{call.purpose} {call.ordinal}",
            f"{call.run}.{call.epoch}" if call.epoch else call.run,
            call.engine,
            call.tokens_in,
            call.tokens_out,
            f"{call.seconds:.1f}",
            call.spent,
            call.saved,
            how(call),
        )
        for call in ordered
    ]
    if lines:
        sums = total(calls)
        seconds = f"{sums['seconds']:.1f}"
        both = (sums["tokens_in"], sums["tokens_out"], seconds, sums["spent"], sums["saved"])
        lines.append(("total", f"{sums['calls']} calls", "", "", *both, ""))
    return lines


def how(call: CallCost) -> str:
    """Where the answer came from, and who else got it."""
    told: list[str] = [call.state] if call.state != "done" else [_source(call)]
    if call.asked_again:
        told.append(f"{call.asked_again} x from the ledger")
    if call.joined:
        told.append(f"{call.joined} joined")
    return ", ".join(told)


def _source(call: CallCost) -> str:
    if call.cache:
        return "from the cache"
    return "from an earlier run" if call.earlier else "paid"


def total(calls: Sequence[CallCost]) -> dict[str, float]:
    """Of what was paid: tokens in and out, seconds; tokens spent and saved; how many calls are listed."""
    paid = [call for call in calls if not (call.earlier or call.cache)]
    return {
        "calls": len(calls),
        "tokens_in": sum(call.tokens_in for call in paid),
        "tokens_out": sum(call.tokens_out for call in paid),
        "seconds": round(sum(call.seconds for call in paid), 3),
        "spent": sum(call.spent for call in calls),
        "saved": sum(call.saved for call in calls),
    }
