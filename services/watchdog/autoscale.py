"""How many replicas a service needs, pure: work in, number out. Times are monotonic seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.watchdog.tree import Autoscale


@dataclass
class Scale:
    """Of one service."""

    rule: Autoscale
    _low_since: float | None = None

    def wanted(self, *, work: int, replicas: int, now: float) -> int:
        """`work`: messages that wait or are in hand. More replicas at once, fewer when a whole cool-down has passed in
        which fewer would have done."""
        needed = max(self.rule.least, min(self.rule.most, math.ceil(work / self.rule.queued)))
        if needed >= replicas:
            self._low_since = None
            return needed
        if self._low_since is None:
            self._low_since = now
        return needed if now - self._low_since >= self.rule.cool_down_s else replicas
