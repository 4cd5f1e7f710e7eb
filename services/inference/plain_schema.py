"""The part of a JSON schema that model servers are known to turn into a grammar. Pure.

Seen with Ollama 0.17.4: a `pattern` with a look-ahead ends the whole server (SIGSEGV), `maxLength` or `maxItems` of
100,000 and an unknown type are a status 500; llama-server refuses those. So only what shapes the answer goes along;
patterns, formats, lengths and ranges are left to whoever validates it.
"""

from typing import Any

from services.inference.generation import EngineFailed

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
MOST_ITEMS = 32
"""Longer bounds of a list are left out: they become that many rules of a grammar."""
MOST_NODES = 2000
DEEPEST = 24
Schema = dict[str, Any]


def plain(schema: Schema, *, described: bool = False) -> Schema:
    """What to send. References are written out; where a schema contains itself, anything may stand. `described`: with
    descriptions, which a model reads where the schema becomes a part of its prompt. Raises EngineFailed when it is too
    large for a grammar."""
    return _Plain(schema.get("$defs") or schema.get("definitions") or {}, described=described).of(schema, ())


class _Plain:
    """`defs`: what references lead to."""

    def __init__(self, defs: Any, *, described: bool) -> None:
        self.defs = defs if isinstance(defs, dict) else {}
        self.described = described
        self.nodes = 0

    def of(self, schema: Any, above: tuple[str, ...], depth: int = 0) -> Schema:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            why = f"the JSON schema of the answer has more than {MOST_NODES:,} parts: ask for less at a time"
            raise EngineFailed("unsupported", why)
        if not isinstance(schema, dict) or depth > DEEPEST:
            return {}
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return {} if name in above else self.of(self.defs.get(name), (*above, name), depth + 1)
        kept = _kept(schema)
        if self.described and isinstance(schema.get("description"), str):
            kept["description"] = schema["description"]
        properties = schema.get("properties")
        if isinstance(properties, dict):
            kept["properties"] = {str(name): self.of(each, above, depth + 1) for name, each in properties.items()}
            if isinstance(schema.get("required"), list):
                kept["required"] = [name for name in schema["required"] if name in properties]
        if isinstance(schema.get("items"), dict):
            kept["items"] = self.of(schema["items"], above, depth + 1)
        more = schema.get("additionalProperties")
        if more is not None:
            kept["additionalProperties"] = more if isinstance(more, bool) else self.of(more, above, depth + 1)
        either = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(either, list) and either:
            kept["anyOf"] = [self.of(each, above, depth + 1) for each in either]
        return kept


def _kept(schema: Schema) -> Schema:
    """What stands by itself."""
    kept: Schema = {}
    kinds = schema.get("type")
    if kinds in TYPES or (isinstance(kinds, list) and kinds and all(kind in TYPES for kind in kinds)):
        kept["type"] = kinds
    if schema.get("enum"):
        kept["enum"] = schema["enum"]
    if "const" in schema:
        kept["const"] = schema["const"]
    for bound in ("minItems", "maxItems"):
        if isinstance(schema.get(bound), int) and 0 <= schema[bound] <= MOST_ITEMS:
            kept[bound] = schema[bound]
    return kept
