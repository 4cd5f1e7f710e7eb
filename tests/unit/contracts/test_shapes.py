"""How the shape of an answer is measured, split, and read."""

from typing import Literal, Optional

import pytest
from pydantic import BaseModel, Field, RootModel

from shared.contracts.shapes import is_too_deep, measured, parts_of, read_as


class Term(BaseModel):
    name: str
    count: int = 0


class Terms(BaseModel):
    terms: list[Term]


class Place(BaseModel):
    street: str
    nearby: Terms


class House(BaseModel):
    kind: Literal["flat", "house"]
    at: Place = Field(alias="where")


class Tree(BaseModel):
    name: str
    children: "list[Tree]" = []


class Two(BaseModel):
    left: Term
    right: Optional[Term] = None  # noqa: UP045 - what users write, and a schema of its own


def wide(fields: int) -> type[BaseModel]:
    return type("Wide", (BaseModel,), {"__annotations__": {f"f{n}": int for n in range(fields)}})


@pytest.mark.parametrize(
    ("shape", "depth", "fields", "too_deep"),
    [
        (Term, 1, 2, False),
        (Terms, 2, 3, False),
        (Two, 2, 6, False),
        (Place, 3, 5, True),
        (House, 4, 7, True),
        (wide(12), 1, 12, False),
        (wide(13), 1, 13, True),
    ],
)
def test_depth_and_fields_decide(shape: type[BaseModel], depth: int, fields: int, *, too_deep: bool) -> None:
    assert measured(shape.model_json_schema()) == (depth, fields)
    assert is_too_deep(shape) is too_deep


def test_what_contains_itself_is_too_deep_and_is_still_split_to_an_end() -> None:
    assert is_too_deep(Tree)
    assert [part.name for part in parts_of(Tree)] == ["name", "children"]


def test_a_flat_shape_is_asked_for_whole_and_a_deep_one_by_field_as_far_as_it_needs() -> None:
    assert [(part.shape, part.name) for part in parts_of(Terms)] == [(Terms, "")]
    assert [part.name for part in parts_of(House)] == ["kind", "where.street", "where.nearby.terms"]
    assert all(not is_too_deep(part.shape) for part in parts_of(House))


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(TypeError, match="no object"):
        parts_of(RootModel[list[int]])


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "queue", "count": 2}',
        '```json\n{"name": "queue", "count": 2}\n```',
        'Sure! Here it is [as asked]: {"name": "queue", "count": 2} I hope this helps :-}',
        '{"name": "queue", "count": 2}\n{"name": "queue", "count": 2}',
        '{"name": "queue", "count": "2"}',
    ],
)
def test_an_object_is_found_in_what_stands_around_it(text: str) -> None:
    value, wrong = read_as(text, Term)
    assert not wrong
    assert Term.model_validate(value) == Term(name="queue", count=2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no {"),
        ("I do not know.", "there is no {"),
        ('{"name": "queue", "count": ', "no JSON object"),
        ('{"terms": [{"name": "queue"}', "no JSON object"),
        ('{"name": "queue", "count": "many"}', "count: Input should be a valid integer"),
        ('{"count": 2}', "name: Field required"),
        ('{"name": "a"} or {"name": "b"}', "two of them"),
        ('{"name": "a", "name": "b"}', "a key twice"),
        ('{"name": "a", "count": NaN}', "NaN"),
        ('{"name":' * 5000, "no JSON object"),
    ],
)
def test_what_does_not_fit_is_said_with_its_field(text: str, says: str) -> None:
    value, wrong = read_as(text, Term)
    assert value is None
    assert says in wrong[0]


def test_a_path_leads_into_lists() -> None:
    _, wrong = read_as('{"terms": [{"name": "a"}, {"name": 3}]}', Terms)
    assert wrong == ("terms[1].name: Input should be a valid string",)
