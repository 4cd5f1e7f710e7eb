"""What a model was asked to answer as JSON: how its shape is measured and split, and how the answer is read. Pure.

Small models fail at nested JSON. A shape is too deep for them with objects in objects in objects (depth above
`MAX_DEPTH`; a list of flat objects is 2), with more than `MAX_FIELDS` fields in all of its objects, or when it contains
itself; it is then asked for field by field.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, create_model

M = TypeVar("M", bound=BaseModel)
MAX_DEPTH = 2
MAX_FIELDS = 12
ERRORS = 8
"""Errors that are told of one answer: a model that did not get these right gains nothing from more."""


@dataclass(frozen=True)
class Part:
    """A shape that is asked for in one call: the whole one, or one with a single field, which belongs at `path`."""

    shape: type[BaseModel]
    path: tuple[str, ...] = ()
    field: str = ""

    @property
    def name(self) -> str:
        """As in errors: `address.street`; "" is the whole."""
        return ".".join((*self.path, self.field)) if self.field else ""


def parts_of(shape: type[BaseModel]) -> list[Part]:
    """The whole when it is flat enough, else its fields, nested ones as far as they need it. TypeError: no object."""
    if not issubclass(shape, BaseModel) or shape.model_json_schema().get("type", "object") != "object":
        raise TypeError(f"{shape.__name__} is no object: wrap it in a model with one field")
    return list(_fields(shape, ())) if is_too_deep(shape) else [Part(shape)]


def _fields(shape: type[BaseModel], path: tuple[str, ...]) -> Iterator[Part]:
    for name, info in shape.model_fields.items():
        fields: dict[str, Any] = {name: (info.annotation, info)}
        alone = create_model(shape.__name__, __config__=shape.model_config, **fields)
        key = next(iter(alone.model_json_schema()["properties"]))  # its alias, where it has one
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and is_too_deep(alone):
            yield from _fields(inner, (*path, key))
        else:
            yield Part(alone, path, key)


def is_too_deep(shape: type[BaseModel]) -> bool:
    """By the rule at the top of this file."""
    schema = shape.model_json_schema()
    depth, fields = measured(schema)
    return depth > MAX_DEPTH or fields > MAX_FIELDS


def measured(schema: dict[str, Any]) -> tuple[int, int]:
    """How deep objects lie in objects, and how many fields all of them have. What contains itself is too deep."""
    return _measured(schema, schema.get("$defs", {}), ())


def _measured(schema: Any, defs: dict[str, Any], above: tuple[str, ...]) -> tuple[int, int]:
    if not isinstance(schema, dict):
        return 0, 0
    if ref := schema.get("$ref"):
        name = str(ref).rpartition("/")[2]
        return (MAX_DEPTH + 1, 0) if name in above else _measured(defs.get(name), defs, (*above, name))
    properties = schema.get("properties") or {}
    inner = [*properties.values(), schema.get("items"), schema.get("additionalProperties")]
    inner += [each for word in ("anyOf", "oneOf", "allOf", "prefixItems") for each in schema.get(word, ())]
    found = [_measured(each, defs, above) for each in inner]
    depth = max((depth for depth, _ in found), default=0) + (schema.get("type") == "object")
    return depth, len(properties) + sum(fields for _, fields in found)


def read_as(text: str, shape: type[M]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The JSON object in an answer when it has this shape; else None and what is wrong with it, fields named.

    What stands around the object (a fence, a sentence) is left out. Two different objects are no answer: nobody knows
    which one is meant. Nor is one that has a key twice, or that is not whole.
    """
    try:
        value = _only_object(text)
    except (ValueError, RecursionError) as error:
        return None, (f"no JSON object: {error}"[:300],)
    wrong = problems(value, shape)
    return (None, wrong) if wrong else (value, ())


def problems(value: dict[str, Any], shape: type[BaseModel]) -> tuple[str, ...]:
    """`steps[2].name: Field required`, for each of the first that are wrong."""
    try:
        shape.model_validate_json(json.dumps(value))
    except ValidationError as error:
        return tuple(
            f"{_path(each['loc']) or 'the whole'}: {each['msg']}"[:300]
            for each in error.errors(include_url=False, include_context=False)[:ERRORS]
        )
    return ()


def _path(where: tuple[int | str, ...]) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in where).removeprefix(".")


def _only_object(text: str) -> dict[str, Any]:
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
    start = text.find("{")
    if start < 0:
        raise ValueError("there is no { in it")
    found, end = decoder.raw_decode(text, start)
    while (start := text.find("{", end)) >= 0:
        try:
            other, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
            continue
        if other != found:
            raise ValueError("there are two of them, answer with one")
    value: dict[str, Any] = found
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
