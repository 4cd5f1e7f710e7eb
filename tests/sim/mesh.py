"""The mesh that is simulated: the real planner and inference, and the real Agent with small work of its own."""

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, cast

import services.inference.app
import services.planner.app
from services.inference.generation import call_id
from services.inference.ollama_client import Answer
from services.inference.settings import Settings as InferenceSettings
from services.planner.settings import Settings as PlannerSettings
from shared.contracts.evidence import Evidence, Finding, evidence_id
from shared.contracts.findings import Remember
from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs
from shared.contracts.message import Done, Message
from shared.contracts.report import WrittenReport
from shared.contracts.steps import StepResult, StepUsage
from shared.errors import Retryable
from shared.messaging.envelope import Envelope
from shared.messaging.topology import MEMORY
from shared.runtime.agent import Agent, StepContext, StepOutcome
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings
from tests.sim.loop import SimLoop, point

LEASE = timedelta(seconds=9)
NAMES = ("planner-1", "inference-1", "researcher-1", "researcher-2", "writer-1", "memory-1")


@dataclass
class Model:
    """The model server that bills: every call that is begun, by its key, and how often a crash cut it."""

    loop: SimLoop
    begun: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    goals: dict[str, str] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    async def chat(self, request: Generate, on_token: Callable[[int], None]) -> Answer:
        call, random = call_id(request.call), self.loop.random
        self.begun[call] += 1
        self.goals[call] = request.call.goal_id
        self._open.add(call)
        await point("model_call_begun")
        seconds = 0.05 + random.random() ** 3 * 8.0
        await asyncio.sleep(seconds)
        on_token(5)
        await point("model_call_done")
        return Answer(_text_for(request), "stop", 10, 5, seconds / 2, seconds)

    def crashed(self, done: set[str]) -> None:
        """Inference died: what was in flight, its result not committed, may be paid again, once for each such death."""
        self.cut.update(self._open - done)
        self._open.clear()


def _text_for(request: Generate) -> str:
    if request.call.purpose == "plan":
        question = request.inputs.question[:200]
        return json.dumps({"steps": [{"id": f"s{n}", "question": f"{question} ({n})"} for n in (1, 2)]})
    digest = sha256(request.messages[-1].content.encode()).hexdigest()[:12]
    return f"The answer is {digest} [p1]."


async def research(step: StepContext) -> StepOutcome:
    """One generation, one finding."""
    step.say("asking")
    answer = await _think(step, "research", step.step.question)
    await point("work_between_calls")
    await asyncio.sleep(_seconds())  # work of its own: nothing of it is in a ledger
    sha = sha256(answer.text.encode()).hexdigest()
    cited = evidence_id(sha, 0, len(answer.text))
    evidence = Evidence(
        evidence_id=cited, source="simulated", sha256=sha, start=0, end=len(answer.text), quote=answer.text
    )
    finding = Finding(text=answer.text, evidence_ids=(cited,))
    result = StepResult(step=step.step.step, question=step.step.question, findings=(finding,), evidence=(evidence,))
    return StepOutcome(result, usage=_usage([answer]), engine=answer.engine)


def _seconds() -> float:
    """Of work: most steps are quick."""
    return 0.1 + cast(SimLoop, asyncio.get_running_loop()).random.random() ** 2 * 10


async def write(step: StepContext) -> StepOutcome:
    """A section per input, from a generation each."""
    texts, answers = [], []
    for ordinal, given in enumerate(step.step.inputs):
        found = " ".join(finding.text for finding in given.findings)
        answers.append(await _think(step, "section", f"{given.step}: {found}", ordinal=ordinal))
        texts.append(f"## {given.step}\n{found}\n{answers[-1].text}")
        await point("work_between_calls")
    result = StepResult(step=step.step.step, question=step.step.question)
    return StepOutcome(result, report=WrittenReport(report="\n".join(texts)), usage=_usage(answers))


async def _think(step: StepContext, purpose: Any, content: str, *, ordinal: int = 0) -> Generated:
    now = step.step
    request = Generate(
        call=CallKey(goal_id=now.goal_id, run=now.run, step=now.step, purpose=purpose, ordinal=ordinal),
        messages=(ChatMessage(role="user", content=content),),
        inputs=Inputs(question=now.question),
        deadline_at=now.deadline_at,
    )
    answer = await step.ask(request, Generated, deadline_s=120.0)
    if answer.finish != "stop":
        raise Retryable(answer.error or answer.finish)
    return answer


def _usage(answers: list[Generated]) -> StepUsage:
    tokens_in, tokens_out = sum(a.usage.tokens_in for a in answers), sum(a.usage.tokens_out for a in answers)
    return StepUsage(calls=len(answers), tokens_in=tokens_in, tokens_out=tokens_out)


_planner = PlannerSettings(
    instance="planner-1",
    lease=LEASE,
    lost_after=timedelta(seconds=20),
    tick=timedelta(seconds=4),
    goal_deadline=timedelta(seconds=900),
    active_goals=2,
    window=2,
)
_inference = InferenceSettings(
    instance="inference-1", model="scripted", ollama_urls="", lease=timedelta(seconds=30), slots=2
)


@functools.cache
def _mesh(name: str) -> MeshSettings:
    return MeshSettings(instance=name)


def build(name: str, *, remembered: Counter[str]) -> Service:
    """The service that this process runs, with nothing of its own kept from an earlier life."""
    service = name.rsplit("-", 1)[0]
    if service == "planner":
        return services.planner.app.build(_planner)
    if service == "inference":
        return services.inference.app.build(_inference)
    plain = Service(service, _mesh(name))
    if service == "memory":
        plain.subscribe(MEMORY, Remember, _remember(remembered))
    else:
        Agent(plain, service, research if service == "researcher" else write, lease=LEASE)
    return plain


def _remember(remembered: Counter[str]) -> Any:
    async def on_remember(message: Remember, _: Envelope) -> Message:
        remembered[message.goal_id] += 1
        return Done(count=len(message.findings))

    return on_remember
