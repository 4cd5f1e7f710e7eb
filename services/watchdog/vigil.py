"""Joins what is known of children's lives: their beats, a closer look at the silent ones, and the judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.watchdog.beat_file import read_shared_beat
from services.watchdog.closer_look import Look, NoLook
from services.watchdog.engine import Engine
from services.watchdog.liveness import Beat, Hung, Liveness, Watched
from services.watchdog.supervision import Status


@dataclass
class Vigil:
    """`beats_folder`: where containers write their beats, each under its host's name; None: the engine knows them."""

    engine: Engine
    liveness: Liveness = field(default_factory=Liveness)
    look: Look = field(default_factory=NoLook)
    beats_folder: Path | None = None

    def beats(self, ids: Sequence[str]) -> Mapping[str, Beat]:
        """The latest beat of each of these; a beat file says more than a health check, and sooner."""
        return {**self.engine.beats(), **(self._shared(ids, self.beats_folder) if self.beats_folder else {})}

    def _shared(self, ids: Sequence[str], folder: Path) -> dict[str, Beat]:
        containers = {one: self.engine.whereabouts(one).container for one in ids}
        beats = {one: read_shared_beat(folder / container) for one, container in containers.items() if container}
        return {one: beat for one, beat in beats.items() if beat}

    def watched(self, statuses: Iterable[Status], since: Mapping[str, float]) -> list[Watched]:
        """Those whose signs of life are expected. `since`: when the process of each was started or adopted."""
        alive = [s for s in statuses if s.state in ("starting", "running") and s.child.id in since]
        places = [(s, self.engine.whereabouts(s.child.id)) for s in alive]
        return [
            Watched(s.child.id, s.state == "starting", since[s.child.id], s.child.start_timeout_s, asked=where.asked)
            for s, where in places
            if where.beats
        ]

    async def round(self, watched: Sequence[Watched], clock: Callable[[], float]) -> tuple[list[str], list[Hung]]:
        """One look at everybody: who has become ready, and who is to be killed."""
        ids = [one.id for one in watched]
        beats, now = self.beats(ids), clock()
        self.look.sample(ids, beats, now)
        quiet = self.liveness.quiet(watched, beats, now)
        if not quiet:
            return self.liveness.judge(watched, beats, clock())
        begun = clock()
        signs = await self.look.at(quiet)
        looked_s = clock() - begun
        return self.liveness.judge(watched, self.beats(ids), clock(), signs=signs, looked_s=looked_s)
