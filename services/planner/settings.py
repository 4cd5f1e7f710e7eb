"""Settings of the planner."""

from datetime import timedelta

from pydantic import Field

from shared.runtime.settings import MeshSettings


class Settings(MeshSettings):
    active_goals: int = Field(default=4, ge=1)
    """Goals in flight at once; the others wait as accepted."""
    restricted_corpora: str = ""
    """Comma list, `hr-*` for all that begin so: a goal that may search one of them is restricted."""
    window: int = Field(default=8, ge=1)
    """Steps per agent on the wire at once; the others wait as rows, where priority still counts."""
    goal_deadline: timedelta = timedelta(hours=1)
    """For goals that bring no `deadline_s`."""
    partial_grace: timedelta = timedelta(seconds=20)
    """How long the report of what was found may take once a goal has run out of time or budget."""
    lease: timedelta = timedelta(seconds=30)
    """A worker that has not renewed for this long has lost its step."""
    lost_after: timedelta = timedelta(minutes=2)
    """A step that nobody claims for this long after its lease lapsed is dispatched again."""
    tick: timedelta = timedelta(seconds=1)
    goals_kept: timedelta = timedelta(days=30)
    """How long an ended goal, its events and parked messages are kept."""
