"""Steps: between the planner and agents. One contract for every agent: `cmd.<agent>.run_step.v1` and back.

Delivery says who should work; the lease (planner) says who may. A `RunStep` of a first delivery carries its fence
token; a redelivered one must be claimed again. A result with an older token than the lease's is refused.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.contracts.evidence import Evidence, Finding
from shared.contracts.message import Command, Event, Reply, Value
from shared.contracts.report import WrittenReport
from shared.contracts.sensitivity import Sensitivity, sensitivity_field


class StepResult(Value):
    """What a finished step found. A failed one has a `reason` and no findings."""

    step: str
    question: str
    status: Literal["done", "failed"] = "done"
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    not_found: tuple[str, ...] = ()
    reason: str | None = None


class StepUsage(Value):
    """What a step cost. Tokens as the model server counted them; seconds of model time."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    model_s: float = 0.0


class RunStep(Command, owner="any", name="run_step"):
    """Do this step. Its routing key is the agent's (`step_key`). May be delivered twice: claim it when redelivered.

    `goal`: the whole goal. `question`: this step's own. `inputs`: results of the steps it depends on (the write step
    depends on all). `corpora` and `watermark`: what may be searched, as of when. `deadline_at`: give up by then.
    `budget_tokens`, `budget_s`: what its model calls may cost together, in tokens and seconds of model time; null: no
    limit. `epoch` rises when the step is to be done anew on purpose. `fresh`: its model calls are made anew, too; else
    what an earlier run has asked in the same words is answered from there. `sensitivity`: the goal's; its model calls
    and searches have it, too.
    """

    goal_id: str
    run: int = 1
    step: str
    epoch: int = 0
    agent: str
    goal: str
    question: str
    fence: int
    namespace: str = "default"
    corpora: tuple[str, ...] = ()
    watermark: int = 0
    priority: int = 3
    engine: str = "auto"
    engine_reason: str | None = None
    inputs: tuple[StepResult, ...] = ()
    deadline_at: datetime | None = None
    budget_tokens: int | None = None
    budget_s: float | None = None
    fresh: bool = False
    sensitivity: Sensitivity = sensitivity_field()


class StepFinished(Event, owner="agent", name="step_finished"):
    """The result of one step, done or failed; counts only with the lease's fence token. `cut_short`: its part of the
    goal's budget did not allow a model call that it wanted to make."""

    goal_id: str
    run: int
    step: str
    fence: int
    worker: str
    result: StepResult
    report: WrittenReport | None = None
    usage: StepUsage = StepUsage()
    engine: str | None = None
    engine_reason: str | None = None
    """Of a write step: why it was this engine and not another one; None when all is well."""
    cut_short: bool = False


class ClaimStep(Command, owner="planner", name="claim_step"):
    """May I work on this step? Answered by `StepClaimed`. Asking twice with the same worker is harmless."""

    goal_id: str
    run: int
    step: str
    worker: str


class StepClaimed(Reply, owner="planner", name="step_claimed"):
    """`granted`: work with this `fence`. `held`: another worker's lease is alive, come back later. `gone`: drop it."""

    verdict: Literal["granted", "held", "gone"]
    fence: int = 0
    deadline_at: datetime | None = None
    reason: str | None = None


class RenewStep(Event, owner="agent", name="step_renewed"):
    """This worker still works on the step (sent about every third of the lease time; no answer)."""

    goal_id: str
    run: int
    step: str
    fence: int
    worker: str


class StepsStopped(Event, owner="planner", name="steps_stopped"):
    """Stop working on this goal now: it was cancelled or has ended. Heard by every instance on its own queue.

    `before_epoch`: only what belongs to an older epoch of a step; what is newer (a partial report) goes on."""

    goal_id: str
    reason: str
    before_epoch: int | None = None


class AgentAnnounced(Event, owner="agent", name="agent_announced"):
    """An agent is here: its name is its queue. The planner may use it in plans."""

    agent: str
    line: str = Field(max_length=200)
    input_schema: dict[str, object] = Field(default_factory=dict)


def step_key(agent: str) -> str:
    """The routing key of `RunStep` for this agent."""
    return f"cmd.{agent}.{RunStep.type_name()}"
