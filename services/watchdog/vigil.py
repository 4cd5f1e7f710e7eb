"""Joins what is known of children's lives: their beats, a closer look at the silent ones, and the judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.watchdog.beat_file import read_shared_beat
from services.watchdog.closer_look import Look, NoLook
from services.watchdog.engine import Engine
from services.watchdog.liveness import Beat, Hung, Liveness, Watched


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

    async def round(self, watched: Sequence[Watched], clock: Callable[[], float]) -> tuple[list[str], list[Hung]]:
        """One look at everybody: who has become ready, and who is to be killed."""
        ids = [one.id for one in watched]
        beats, now = self.beats(ids), clock()
        self.look.sample(ids, beats, now)
        quiet = self.liveness.quiet(watched, beats, now)
        signs = await self.look.at(quiet) if quiet else {}
        return self.liveness.judge(watched, self.beats(ids) if quiet else beats, clock(), signs=signs)
