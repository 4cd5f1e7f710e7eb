"""What the model servers of tests say. Standard library only."""

import json
import re
from typing import Any

SENTENCES = 3
"""Passages from which a sentence is copied."""
_PASSAGE = re.compile(r"^\[([^\]\s]+)\][ \t]*(.*(?:\n(?!\[).*)*)", re.M)
_END_OF_PASSAGES = re.compile(r"^(?:Question:|These sentences|Already said)", re.M)


def answer_to(prompt: str, schema: Any = None) -> str:
    """What the stub says: a plan where the schema wants steps, for another schema the least that fits it, or sentences
    copied from the prompt's passages."""
    fields = schema.get("properties", {}) if isinstance(schema, dict) else {}
    if fields and "steps" not in fields:
        return json.dumps(filled(schema, schema.get("$defs", {})))
    if "steps" in fields:
        goal = re.search(r"^Goal: (.+)$", prompt, re.M)
        step: dict[str, Any] = {"id": "s1", "question": goal[1] if goal else "What is this about?", "depends_on": []}
        return json.dumps({"steps": [step]})
    shown = _END_OF_PASSAGES.split(prompt, maxsplit=1)[0]
    copied = (_sentence(text, ident) for ident, text in _PASSAGE.findall(shown))
    return " ".join([sentence for sentence in copied if sentence][:SENTENCES]) or "NOT FOUND."


def filled(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """The least that fits a JSON schema: the first of what is listed, empty texts and lists, every field."""
    schema = defs.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "properties" in schema:
        return {name: filled(each, defs) for name, each in schema["properties"].items()}
    least: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return least.get(str(schema.get("type")))


def words_of(text: str) -> list[str]:
    """A stub's tokens."""
    return re.findall(r"\S+\s*", text)


def _sentence(passage: str, ident: str) -> str:
    """The first whole sentence of a passage, cited; the first of several lines is its title."""
    title, newline, rest = passage.partition("\n")
    text = " ".join((rest if newline and rest.strip() else re.sub(r"^\([^)]*\) ", "", title)).split())
    whole = (s for s in re.split(r"(?<=[.!?])\s+", text) if 30 < len(s) < 400 and s.endswith("."))
    first = next(whole, "")
    return f"{first[:-1]} [{ident}]." if first else ""
