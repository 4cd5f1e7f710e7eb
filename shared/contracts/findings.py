"""Findings of finished goals: remembered per namespace (the newest 1000 each), recalled by later goals."""

from datetime import datetime

from pydantic import Field

from shared.contracts.evidence import Evidence, Finding
from shared.contracts.goals import Name
from shared.contracts.message import Command, Reply, Value


class Remember(Command, owner="memory", name="remember"):
    """Keep what a goal found; its cited texts are kept as long. Answered by `Done`. Twice is harmless."""

    goal_id: str
    namespace: Name = "default"
    corpora: tuple[str, ...] = ()
    goal: str
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]


class RememberedFinding(Value):
    """A finding with the evidence it had when it was made. Newest first in lists, best first in recalls."""

    finding_id: str
    goal_id: str
    namespace: str
    goal: str
    text: str
    evidence: tuple[Evidence, ...]
    at: datetime
    score: float = 0.0


class Recall(Command, owner="memory", name="recall"):
    """Earlier findings about this, within one namespace and these corpora only, each sentence once. Answered by
    `FindingsListed`."""

    namespace: Name = "default"
    corpora: tuple[str, ...] = ()
    query: str = Field(min_length=1, max_length=4000)
    limit: int = Field(default=5, ge=1, le=100)
    except_goal: str | None = None


class ListFindings(Command, owner="memory", name="list_findings"):
    """The newest findings of a namespace. Answered by `FindingsListed`."""

    namespace: Name = "default"
    limit: int = Field(default=50, ge=1, le=1000)


class FindingsListed(Reply, owner="memory", name="findings_listed"):
    findings: tuple[RememberedFinding, ...]


class Forget(Command, owner="memory", name="forget"):
    """Forget one finding, those of one goal, or the whole namespace (`everything`). Answered by `Done`."""

    namespace: Name = "default"
    finding_id: str | None = None
    goal_id: str | None = None
    everything: bool = False
