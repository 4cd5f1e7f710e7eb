"""What a question asks for, and the searches that may find it. Pure."""

import re
from collections.abc import Sequence

from shared.contracts.comparison import comparison
from shared.contracts.words import STOP_WORDS, words

QUERIES = 3
_AND = r"(?:and|or|und|oder|et|ou|y|o)"
_JOINTS = re.compile(r"[\s_-]+")
_ASKING = "how|why|what|when|which|who|whom|where|is|are|does|do|did|can|should|will|has|have|wie|warum|was|wann|welche"
_JOINT = re.compile(rf"[?;\n]+|,?\s+(?:and|or|und|et|y)\s+(?=(?:{_ASKING})\b)", re.I)
_COMPARED = (
    re.compile(r"\b(?:between|compare|comparing)\s+(?P<a>.+?)\s+(?:and|with|to|against)\s+(?P<b>[^,.?;]+)", re.I),
    re.compile(r"(?P<a>\S.*?)\s+(?:vs\.?|versus|compared (?:to|with))\s+(?P<b>[^,.?;]+)", re.I),
    re.compile(r"\bhow\s+(?:do|does|are|is)\s+(?P<a>.+?)\s+and\s+(?P<b>.+?)\s+(?:differ|different|compare)\b", re.I),
)
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]{2,60})[\"”“»]|`([^`]{2,60})`")
_GERMAN = re.compile(r"\b(?:der|die|das|und|ist|wie|welche|zwischen|werden|wird|warum|eine?r?)\b")


def queries(question: str) -> tuple[str, ...]:
    """Up to three searches: the whole question's words; then its parts, the sides of a comparison, or its names.

    Two-part questions asked as one are what plain ranking misses most, hence the parts.
    """
    whole = _query(question)
    candidates = [whole]
    several = [query for part in parts(question) if (query := _query(part))]
    if len(several) > 1:
        candidates += several
    candidates += [_query(side) for side in compared(question)]
    candidates.append(" ".join(names(question)))
    unique = dict.fromkeys(candidate for candidate in candidates if candidate)
    return tuple(unique)[:QUERIES] or (question.strip()[:200],)


def parts(question: str) -> tuple[str, ...]:
    """The questions within a question: "what is X and why does it Y?" is two."""
    return tuple(part.strip(" ,.") for part in _JOINT.split(question) if len(part.split()) > 1)


def compared(question: str) -> tuple[str, ...]:
    """The two sides of a comparison, or nothing."""
    for pattern in _COMPARED:
        if match := pattern.search(question):
            return (match["a"], match["b"])
    return ()


def names(question: str) -> tuple[str, ...]:
    """Names in a question: quoted words, and words spelled like names (RabbitMQ, x-queue-type, HTTP2; not the first).

    German capitalises every noun: there a capital alone is no sign of a name.
    """
    found = [(match[1] or match[2]).strip() for match in _QUOTED.finditer(question)]
    capital_is_name = not _GERMAN.search(question) and not question.istitle()
    rest = _QUOTED.sub(" ", question)
    for token, written, start in words(rest):
        if token in STOP_WORDS or written.lower() in STOP_WORDS:
            continue
        odd = bool(re.search(r"[A-Z]", written[1:])) or "_" in written or _letters_and_digits(written)
        begins = not rest[:start].strip() or rest[:start].rstrip()[-1:] in ".?!:;"
        if odd or (capital_is_name and written[0].isupper() and not begins):
            found.append(written)
    return tuple(dict.fromkeys(name for name in found if len(name) > 1))


def unanswerable(question: str, absent: Sequence[str]) -> bool:
    """Is it about a name that is nowhere? What is compared or named side by side with it can still be told."""
    if not absent or len(absent) == len(names(question)):
        return bool(absent)
    return comparison(question) is None and not any(_beside_another(question, name) for name in absent)


def _beside_another(question: str, name: str) -> bool:
    joined = rf"(?:,|\b{_AND})\s+(?:the\s+)?{re.escape(name)}|{re.escape(name)}(?:,|\s+{_AND}\b)"
    return re.search(joined, question, re.IGNORECASE) is not None


def mentions(text: str, name: str) -> bool:
    """Has the casefolded text this name? Its singular, or another hyphen in it, is the same name."""
    forms = {name.casefold(), name.casefold().removesuffix("s")}
    return any(form in text for form in forms) or _JOINTS.sub("", name.casefold()) in _JOINTS.sub("", text)


def _letters_and_digits(word: str) -> bool:
    return bool(re.fullmatch(r"(?=.*\d)[A-Za-z][\w.-]*", word))


def _query(text: str) -> str:
    """Content words as they are written: the search does its own stemming."""
    kept = [written for token, written, _ in words(text) if token not in STOP_WORDS]
    return " ".join(dict.fromkeys(kept))[:400]
