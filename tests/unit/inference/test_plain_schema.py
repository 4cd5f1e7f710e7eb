"""What of a JSON schema goes to a model server: nothing that is known to hurt one."""

from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from services.inference.generation import EngineFailed
from services.inference.plain_schema import MOST_NODES, plain


class Address(BaseModel):
    street: Annotated[str, Field(pattern="^x+$", max_length=100_000)]
    since: date | None = None


class Person(BaseModel):
    kind: Literal["a", "b"]
    age: int = Field(ge=0, le=10**30)
    at: list[Address] = Field(max_length=100_000, min_length=1)


class Tree(BaseModel):
    name: str
    left: "Tree | None" = None


def test_what_shapes_the_answer_stays_and_references_are_written_out() -> None:
    street = {"type": "string"}
    since = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    address = {"type": "object", "properties": {"street": street, "since": since}, "required": ["street"]}
    assert plain(Person.model_json_schema()) == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["a", "b"]},
            "age": {"type": "integer"},
            "at": {"type": "array", "minItems": 1, "items": address},
        },
        "required": ["kind", "age", "at"],
    }


def test_what_contains_itself_comes_to_an_end() -> None:
    tree = plain(Tree.model_json_schema())
    assert tree["properties"]["left"] == {"anyOf": [{}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("wrong", "sent"),
    [
        ({"type": "wat"}, {}),
        ({"$ref": "#/$defs/Nowhere"}, {}),
        ({"enum": []}, {}),
        ({"type": "string", "pattern": "(?=x)", "format": "date", "minLength": 9}, {"type": "string"}),
        ({"type": ["string", "null"], "description": "d"}, {"type": ["string", "null"]}),
        ({"type": "array", "maxItems": 33, "items": 3}, {"type": "array"}),
        ({"const": 0, "additionalProperties": False}, {"const": 0, "additionalProperties": False}),
        ({"oneOf": [{"type": "null"}], "properties": 7}, {"anyOf": [{"type": "null"}]}),
    ],
)
def test_what_a_server_does_not_take_is_left_out(wrong: dict[str, object], sent: dict[str, object]) -> None:
    assert plain(wrong) == sent


def test_a_schema_that_would_grow_without_end_is_refused() -> None:
    defs = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(20)}
    with pytest.raises(EngineFailed, match=f"{MOST_NODES:,} parts") as failed:
        plain({"$ref": "#/$defs/d0", "$defs": defs})
    assert failed.value.kind == "unsupported"


def test_a_deep_one_is_cut() -> None:
    deep: dict[str, object] = {"type": "string"}
    for _ in range(500):
        deep = {"type": "array", "items": deep}
    assert plain(deep)["items"]["items"]["type"] == "array"
