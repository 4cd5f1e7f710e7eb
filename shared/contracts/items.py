"""Values that reference documents state of a term above them, `pump_rate - Default: 40 l/min`. Pure.

pump_rate                          --timeout SECONDS: how long it waits (default 30).
    How much it moves.             max_heat : int, default 85
    Default: 40 l/min              cache_size ... The default is 128 megabytes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
REACH = 600
"""Characters from the term's beginning to the value's end: both are quoted together."""
TERM_CHARACTERS, TERM_WORDS, VALUE_CHARACTERS = 60, 6, 80
_FACETS = (
    r"default(?:\s+value)?|(?:min|max)(?:imum|\.)?(?:\s+(?:value|length|size))?|(?:allowed|valid|possible|accepted)\s+"
    r"values|values?|range|limit|units?|type|standard(?:wert)?|vorgabe|par défaut|valor por defecto|por defecto"
)
_FACET = re.compile(rf"(?:{_FACETS}|since|required|note|example)$", re.IGNORECASE)
_VALUE = re.compile(
    rf"(?<![\w-])(?P<value>(?:the\s+)?(?:{_FACETS})\s*(?::|=|\bis\b|\bare\b)\s*\S.*?"
    rf"|defaults?\s+to\s+\S.*?|(?<=\()default\s+\S.*?|(?<=[,;]\s)default\s+\S.*?"
    rf"|(?:on|off|enabled|disabled|not set|unset|empty|none)\s+by\s+default)"
    rf"(?=\s*(?:[.;)]?\s*$|[.;)]\s|\)[.,;]|,?\s(?-i:[A-Z])[\w ]{{1,20}}:\s))",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(
    r"^[ \t]*(?:[-*•]\s+)?:?(?P<term>`{0,2}(?:--?[\w-]+|[A-Za-z][\w./-]*)"
    r"(?:[ =,]+(?:--?[\w-]+|[A-Z_<>\[\]]{1,20}|<[\w-]+>))*`{0,2})(?::\s|\s+:\s|\s+[-–—]\s|\s\()",
    re.MULTILINE,
)
"""`--timeout SECONDS: ...`, `max_heat : int`, `**window**: ...`: a term and what is said of it on one line."""
_OPTION = re.compile(r"^\s*--?[A-Za-z]")


@dataclass(frozen=True)
class Item:
    """`span`: where term and value stand in the text, with all that is between them."""

    term: str
    value: str
    span: Span

    @property
    def text(self) -> str:
        return f"{self.term} - {self.value[:1].upper()}{self.value[1:]}"


def items(text: str) -> list[Item]:
    """In the order of their values. A value whose term is further above than a quote can reach is left out."""
    return list(_items(text))


def has_value(text: str) -> bool:
    """Does it state a value of whatever stands above it?"""
    return _VALUE.search(text, 0, REACH) is not None


def says_item(claim: str, quotes: Sequence[str]) -> bool:
    """Is the claim, word for word, what one of these quotes states of a term?"""
    return any(item_span(claim, quote) for quote in quotes)


def reads_as_item(claim: str) -> bool:
    """Is it written as a value of a term? Then only says_item decides: `On by default` is near its opposite."""
    term, dash, value = claim.partition(" - ")
    found = _VALUE.match(value) if dash else None
    return found is not None and found.end() >= len(value.rstrip(".")) and len(term) <= TERM_CHARACTERS


def item_span(claim: str, text: str) -> Span | None:
    """Where the text states this of this term."""
    wanted = " ".join(claim.split()).rstrip(".")
    if " - " not in wanted:
        return None
    return next((item.span for item in _items(text) if item.text == wanted), None)


def _items(text: str) -> Iterator[Item]:
    for found in _VALUE.finditer(text):
        start, end = found.span("value")
        value = " ".join(found["value"].split())
        if end - start > VALUE_CHARACTERS or value.endswith(("?", ":")):
            continue
        term = _term_above(text, start)
        if term is not None and end - term[0] <= REACH:
            yield Item(" ".join(text[slice(*term)].strip("`").split()), value, (term[0], end))


def _term_above(text: str, at: int) -> Span | None:
    """The nearest term before this place: at the beginning of its line, else a line of its own."""
    line_start = text.rfind("\n", 0, at) + 1
    head = _HEAD.match(text, line_start)
    if head and head.end("term") <= at and not _FACET.match(head["term"]):
        return head.span("term")
    end = line_start - 1
    while end > 0 and at - end <= REACH:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        above = text[:start].rstrip(" \t")
        if line.strip() and _is_term(line, alone=not above or above.endswith("\n\n")):
            begin = start + len(line) - len(line.lstrip())
            return begin, start + len(line.rstrip())
        if (head := _HEAD.match(line)) and _OPTION.match(line):
            return start + head.start("term"), start + head.end("term")
        end = start - 1
    return None


def _is_term(line: str, *, alone: bool) -> bool:
    """A short line that is no sentence: a heading, a name, an option."""
    words = line.split()
    short = len(line) <= TERM_CHARACTERS and len(words) <= TERM_WORDS and line.rstrip()[-1:] not in ".!?:;,"
    if not short or line.lstrip().startswith("|") or _VALUE.match(line.strip()):
        return False
    return alone or bool(_OPTION.match(line))
