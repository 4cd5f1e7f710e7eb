"""Structured answers: validated, asked again with the error, field by field where deep, and resumed without paying."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel, model_validator

from shared.contracts.generation import CallKey, Generate, Generated, Usage
from shared.contracts.steps import RunStep
from shared.errors import Rejected
from shared.runtime.structured import APART, NotStructured, chat, structured

STEP = RunStep(goal_id="g1", step="terms", agent="glossary", goal="why?", question="why?", fence=1, epoch=2)
FLAT = '{"name": "queue", "count": 2}'


class Term(BaseModel):
    name: str
    count: int


class Group(BaseModel):
    terms: list[Term]


class Deep(BaseModel):
    title: str
    group: Group
    least: int = 0

    @model_validator(mode="after")
    def enough(self) -> "Deep":
        if len(self.group.terms) < self.least:
            raise ValueError("fewer terms than least")
        return self


class Crash(Exception):
    """The process dies here."""


@dataclass
class Ledger:
    """Inference with its ledger: says what it was told to, and the same call key is paid for once."""

    says: list[str | Generated]
    paid: list[Generate] = field(default_factory=list)
    asked: list[Generate] = field(default_factory=list)
    known: dict[CallKey, Generated] = field(default_factory=dict)
    dies_before: int = -1

    async def ask(self, command: Generate, reply: type[Generated], *, deadline_s: float = 10.0) -> Generated:
        self.asked.append(command)
        if command.call not in self.known:
            if len(self.paid) == self.dies_before:
                raise Crash
            said = self.says[len(self.paid)]
            self.paid.append(command)
            answer = said if isinstance(said, Generated) else generated(said)
            self.known[command.call] = answer.model_copy(update={"call": command.call})
        return self.known[command.call]


def generated(text: str = "", **more) -> Generated:
    fields = {"finish": "stop", "engine": "ollama/m", **more}
    return Generated(call=CallKey(goal_id="g1", step="s", purpose="chat"), text=text, **fields)


def telling(*says: str | Generated) -> Ledger:
    return Ledger(list(says))


async def ask(ledger: Ledger, wanted: type[BaseModel] = Term, *, number: int = 0, **more):
    return await structured(ledger.ask, chat(STEP, "Which terms?", number=number), wanted=wanted, **more)


async def failing(ledger: Ledger, wanted: type[BaseModel] = Term, **more) -> NotStructured:
    with pytest.raises(NotStructured) as raised:
        await ask(ledger, wanted, **more)
    return raised.value


def ordinals(requests: Sequence[Generate]) -> list[int]:
    return [request.call.ordinal for request in requests]


async def test_the_schema_goes_along_and_a_good_answer_is_the_only_call():
    ledger = telling(FLAT)
    answer = await ask(ledger)
    assert answer.value == Term(name="queue", count=2)
    (request,) = ledger.paid
    assert request.output_schema == Term.model_json_schema()
    assert "fits this schema" in request.messages[0].content
    assert request.call == CallKey(goal_id="g1", step="terms", epoch=2, purpose="chat")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("I do not know.", "no JSON object"),
        ('{"name": "queue", "count": "many"}', "count: Input should be a valid integer"),
        ('{"name": "queue"', "no JSON object"),
        (generated(FLAT, finish="length", usage=Usage(tokens_out=9)), "cut after 9 tokens"),
    ],
)
async def test_a_wrong_answer_is_asked_again_with_what_was_wrong(wrong, told):
    ledger = telling(wrong, f"```json\n{FLAT}\n```")
    answer = await ask(ledger)
    assert answer.value.count == 2
    assert [bool(attempt.errors) for attempt in answer.attempts] == [True, False]
    before, again = ledger.paid[1].messages[-2:]
    assert (before.role, again.role) == ("assistant", "user")
    assert told in again.content
    assert ordinals(ledger.paid) == [0, 1]


async def test_only_the_last_wrong_answer_is_shown_again():
    ledger = telling("one", "two", FLAT)
    await ask(ledger)
    assert [len(request.messages) for request in ledger.paid] == [2, 4, 4]
    assert ledger.paid[2].messages[-2].content == "two"


async def test_it_ends_with_a_failure_that_has_every_attempt():
    ledger = telling("one", '{"name": 3}', '{"name": "queue", "count": []}')
    error = await failing(ledger)
    assert isinstance(error, Rejected)  # a step that asked for it fails, and its goal goes on
    assert [attempt.answer.text for attempt in error.attempts] == [
        "one",
        '{"name": 3}',
        '{"name": "queue", "count": []}',
    ]
    assert all(attempt.errors for attempt in error.attempts)
    assert "count: Input should be a valid integer" in error.reason


@pytest.mark.parametrize("finish", ["failed", "unsupported"])
async def test_without_a_model_it_fails_at_once_and_says_why(finish):
    ledger = telling(generated(finish=finish, error="no model: pull one", engine="extractive"))
    error = await failing(ledger)
    assert (len(ledger.paid), "pull one" in error.reason) == (1, True)


async def test_a_deep_shape_is_asked_for_field_by_field():
    ledger = telling('{"title": "Queues"}', '{"terms": 3}', '{"terms": [], "title": "not asked"}', '{"least": 0}')
    answer = await ask(ledger, Deep)
    assert answer.value == Deep(title="Queues", group=Group(terms=[]))
    assert [attempt.field for attempt in answer.attempts] == ["title", "group.terms", "group.terms", "least"]
    assert ordinals(ledger.paid) == [0, 3, 4, 6]
    assert "`group.terms`" in ledger.paid[1].messages[-1].content
    assert '"title": "Queues"' in ledger.paid[1].messages[-1].content
    assert set(ledger.paid[1].output_schema["properties"]) == {"terms"}


async def test_what_is_wrong_only_as_a_whole_is_asked_again_within_the_same_attempts():
    parts = ['{"title": "Q"}', '{"terms": []}', '{"least": 1}']
    good = ['{"title": "Q"}', '{"terms": [%s]}' % FLAT, '{"least": 1}']  # noqa: UP031 - braces
    answer = await ask(telling(*parts, *good), Deep)
    assert answer.value.least == len(answer.value.group.terms) == 1
    error = await failing(telling(*parts, *parts, *parts), Deep)
    assert len(error.attempts) == 9
    assert "fewer terms than least" in error.reason


async def test_after_a_crash_the_same_calls_are_asked_and_nothing_is_paid_twice():
    says = ['{"title": 3}', '{"title": "Queues"}', "no", '{"terms": []}', '{"least": 0}']
    whole = telling(*says)
    await ask(whole, Deep)
    for died in range(len(says)):
        ledger = Ledger(list(says), dies_before=died)
        with pytest.raises(Crash):
            await ask(ledger, Deep)
        ledger.dies_before = -1
        assert (await ask(ledger, Deep)).value.title == "Queues"
        assert [request.model_dump_json() for request in ledger.paid] == [r.model_dump_json() for r in whole.paid]


async def test_two_questions_of_a_step_do_not_share_a_key():
    ledger = telling("no", FLAT, "no", FLAT)
    await ask(ledger)
    await ask(ledger, number=1)
    assert ordinals(ledger.paid) == [0, 1, APART, APART + 1]
    assert json.loads(ledger.paid[0].model_dump_json())["inputs"]["question"] == "Which terms?"


async def test_attempts_must_fit_between_two_questions():
    with pytest.raises(ValueError, match="attempts must be 1 to 333"):
        await ask(telling(), Deep, attempts=334)
