"""Who speaks: a sentence in the first person is its authors' own, and a report says so. Pure."""

import re
from collections.abc import Iterable

from shared.contracts.labels import LABELS, Labels
from shared.contracts.sentences import sentences

_FIRST_PERSON = re.compile(
    r"""^\W*(?:(?:in|with|throughout)\s+this\s+(?:paper|work|article|study|report|section|chapter|guide),?\s+|here,?\s+)?
    (?:we|our|i(?!/)|my|wir|unsere?[mnrs]?|ich|meine?[mnrs]?|nous|notre|nos|je|j['’]\w+|nosotr[oa]s|nuestr[oa]s?)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def attributed(text: str, *, title: str, labels: Labels) -> str:
    """`The authors of <title>: "We found ..."` for a sentence in the first person; every other sentence as it is.

    Left alone, too, where the title or the sentence would not read as one sentence then."""
    if not title or not _FIRST_PERSON.match(text):
        return text
    spoken = labels.authors.format(title=title, text=text)
    return spoken if len(sentences(spoken)) == 1 else text


def said_by(text: str, titles: Iterable[str]) -> str:
    """What the authors of one of these titles said; the text itself where it attributes nothing to them."""
    for title in titles:
        for labels in LABELS.values():
            before, _, after = labels.authors.format(title=title, text="\0").partition("\0")
            if title and text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
                return text[len(before) : len(text) - len(after)]
    return text
