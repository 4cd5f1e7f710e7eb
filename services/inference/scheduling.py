"""What runs next, and where: whose turn it is (fair.py), what cannot be in time (deadlines.py), and which host is done
first (placement.py), by what this replica knows of the hosts."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.inference.deadlines import refused, too_late
from services.inference.engines import Engines
from services.inference.fair import Turns, Waiting
from services.inference.generation import Choice
from services.inference.placement import UNKNOWN_S, Job, Option, left_s, place
from services.inference.rows import Row
from services.inference.running import Running
from shared.contracts.generation import Generate

LOOK_AHEAD = 64
"""Calls that a place is found for at once, though most of them do not begin yet."""
PATIENCE = timedelta(seconds=30)
"""So long a call waits rather than have a model unloaded that other calls wait for."""
USUAL_TOKENS = int(Generate.model_fields["max_tokens"].default)


@dataclass
class Schedule:
    """`clock`: the ledger's."""

    engines: Engines
    clock: Callable[[], datetime]
    turns: Turns = field(default_factory=Turns)

    def next(
        self, rows: Sequence[Row], choices: Mapping[str, Choice], running: Collection[Running]
    ) -> list[tuple[str, Choice]]:
        """The calls that begin now, each with its place."""
        slots = self._slots(running)
        options = self._options(rows, choices)
        free = self.engines.free()
        for row in rows:
            if options.get(row.id):
                free[_lane(row, choices[row.id])] = _ahead(options[row.id], slots)
        ready = [row for row in rows if options.get(row.id) or not choices[row.id].url]
        waiting = [_waiting(row, choices[row.id]) for row in ready]
        most = {row.id: row.max_tokens or USUAL_TOKENS for row in ready}
        turn = [call.id for call in self.turns.next(waiting, free=free, now=self.clock())]
        at = place(
            [Job(call, choices[call].model, most[call], options[call]) for call in turn if call in options], slots
        )
        placed = {call: replace(choices[call], url=url) for call, url in at.items()}
        return [(call, placed.get(call, choices[call])) for call in turn if call in placed or call not in options]

    def _options(self, rows: Sequence[Row], choices: Mapping[str, Choice]) -> dict[str, list[Option]]:
        """Of each call that is for a host: those that it may begin at."""
        now, groups, found = self.clock(), {}, {}
        wanted = {choice.model for choice in choices.values() if choice.url}
        for row in rows:
            choice = choices[row.id]
            if choice.url:
                group = _lane(row, choice)
                if group not in groups:
                    groups[group] = self.engines.options(choice, avoid=row.avoid, sensitivity=row.sensitivity)
                here, waits = groups[group], now - row.since < PATIENCE
                found[row.id] = [o for o in here if not (waits and self.engines.evicts(o, choice.model, wanted))]
        return found

    def _slots(self, running: Collection[Running]) -> dict[str, list[float]]:
        """Of each slot of each host the seconds until it is free. What other replicas run is known by number only."""
        left: dict[str, list[float]] = {url: [] for url in self.engines.at_once()}
        for call in running:
            if call.choice.url in left:
                speed = self.engines.rates.typical(call.choice.url, call.choice.model)
                most, elapsed_s = call.claim.request.max_tokens, time.monotonic() - call.began
                left[call.choice.url].append(left_s(speed, most, elapsed_s=elapsed_s, written=call.tokens))
        for url, seconds in left.items():
            seconds += [UNKNOWN_S] * (self.engines.busy[url] - len(seconds))
            slots = self.engines.at_once()[url]
            left[url] = sorted([*seconds, *[0.0] * (slots - len(seconds))])[:slots]
        return left

    def late(self, rows: Sequence[Row], choices: Mapping[str, Choice]) -> dict[str, Choice]:
        """Calls that cannot finish by their deadline: they fail at once."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if choices[row.id].url:
                groups.setdefault((choices[row.id].engine, row.sensitivity), []).append(row)
        found: dict[str, Choice] = {}
        for (engine, _), group in groups.items():
            at = choices[group[0].id]
            chances = self.engines.chances(at, sensitivity=group[0].sensitivity)
            reasons = too_late(group, chances, self.turns, engine=engine, now=self.clock())
            found |= {call: refused(at, why) for call, why in reasons.items()}
        return found


def _lane(row: Row, choice: Choice) -> str:
    """Calls that may be made at the same hosts; what is built in has a lane of its own."""
    return f"{choice.engine} {row.sensitivity} {row.avoid or ''}" if choice.url else choice.lane


def _waiting(row: Row, choice: Choice) -> Waiting:
    return Waiting(row.id, row.goal_id, row.priority, row.since, _lane(row, choice))


def _ahead(options: Sequence[Option], slots: Mapping[str, Sequence[float]]) -> int:
    """For how many calls a place is looked for: none where no slot is free; as many as are where there is no choice."""
    free = sum(seconds <= 0 for option in options for seconds in slots.get(option.url, ()))
    every = sum(len(slots.get(option.url, ())) for option in options)
    return min(LOOK_AHEAD, max(16, 4 * every)) if free and len(options) > 1 else free
