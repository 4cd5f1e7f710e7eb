"""A question that compares: what with what, and in which respects. Read by the planner and by the writer. Pure."""

import re
from dataclasses import dataclass

from shared.contracts.language import language_of

_COMPARE = (
    re.compile(r"^\s*(?:please\s+)?(?:compare|contrast)\s+(?P<pair>.+)$", re.I),
    re.compile(r"^\s*how\s+(?:do|does|did)\s+(?P<pair>.+?)\s+(?:differ|compare)\b(?P<rest>.*)$", re.I),
    re.compile(r"^.*?\bdifferences?\s+between\s+(?P<pair>.+)$", re.I),
    re.compile(r"^(?P<pair>[^?,]+?\s+(?:vs\.?|versus)\s+[^?]+)$", re.I),
    re.compile(r"^\s*vergleiche\s+(?P<pair>.+)$", re.I),
    re.compile(r"^\s*(?:wie|worin)\s+unterscheide[tn]\s+sich\s+(?P<pair>.+)$", re.I),
    re.compile(r"^.*?\bunterschiede?\s+zwischen\s+(?P<pair>.+)$", re.I),
    re.compile(r"^\s*compare[rz]?\s+(?P<pair>.+)$", re.I),
    re.compile(r"^.*?\bdifférences?\s+entre\s+(?P<pair>.+)$", re.I),
    re.compile(r"^\s*comparar?\s+(?P<pair>.+)$", re.I),
    re.compile(r"^.*?\bdiferencias?\s+entre\s+(?P<pair>.+)$", re.I),
)
_ASPECTS = re.compile(
    r"\s+(?:in terms of|with respect to|with regard to|regarding|concerning|in|on|by|for|hinsichtlich|bei|bezüglich|"
    r"im hinblick auf|concernant|en termes de|en cuanto a|respecto a)\s+",
    re.I,
)
_FROM = re.compile(
    r",?\s+(?:from|using|based on|according to)\s+(?:these|those|the|my|this)\s+.*$|,?\s+with\s+sources$", re.I
)
_AND = {
    "en": re.compile(r"\s*,\s*(?:and\s+)?|\s+(?:and|with|to|vs\.?|versus)\s+"),
    "de": re.compile(r"\s*,\s*(?:und\s+)?|\s+(?:und|mit|vs\.?)\s+"),
    "fr": re.compile(r"\s*,\s*(?:et\s+)?|\s+(?:et|avec|à|vs\.?)\s+"),
    "es": re.compile(r"\s*,\s*(?:[ye]\s+)?|\s+(?:[ye]|con|vs\.?)\s+"),
}


@dataclass(frozen=True)
class Comparison:
    """At least two `subjects`, and the `aspects` that the question names; both as it writes them, without articles."""

    subjects: tuple[str, ...]
    aspects: tuple[str, ...] = ()


def comparison(question: str) -> Comparison | None:
    """What the question compares; None when it compares nothing."""
    text = without_source(question.rstrip(" ?.!"))
    for pattern in _COMPARE:
        if match := pattern.match(text):
            whole = match["pair"] + (match.groupdict().get("rest") or "")
            found = _ASPECTS.search(whole)
            pair, aspects = (whole[: found.start()], whole[found.end() :]) if found else (whole, "")
            subjects = tuple(
                subject for part in _AND[language_of(question)].split(pair) if (subject := without_article(part))
            )
            if len(subjects) >= 2:
                return Comparison(subjects, tuple(listed(aspects)))
    return None


def listed(text: str) -> list[str]:
    """The members of `a, the b and c`."""
    parts = re.split(
        r"\s*,\s*(?:(?:and|or|und|oder|et|ou|y|o)\s+)?|\s+(?:and|or|und|oder|et|ou|y|o)\s+", text.strip(" ,?.!")
    )
    return [item for part in parts if (item := without_article(part))]


def without_article(text: str) -> str:
    return re.sub(r"^(?:the|an?|der|die|das|den|dem|le|la|les|el|los|las)\s+", "", text.strip(" ,"), flags=re.I)


def without_source(text: str) -> str:
    """Without `from these papers` and `with sources`, which say where to look and not what is asked."""
    return _FROM.sub("", text)
