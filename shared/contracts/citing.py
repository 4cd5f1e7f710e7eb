"""Citing: reads `plain sentence [id] [id2].` out of what a model wrote, however sloppily small models write it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.contracts.sentences import sentences


@dataclass(frozen=True)
class CitedSentence:
    """A sentence without its citation marks. `ids` are known ones in order of appearance; `unknown` were made up."""

    text: str
    ids: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


_LABEL = r"(?:sources?|passages?|refs?|references?|evidence|cit(?:e|ation)s?|docs?|documents?|quotes?|ids?)"
_GROUP = re.compile(r"\\?\[\^?([^\[\]\n]{1,160}?)\\?\](?!\()|【([^【】\n]{1,160})】|\(([^()\n]{1,120})\)")
_PART = re.compile(rf"^(?:{_LABEL}\b\s*[:#=]?\s*)?[#^]?[\"'`]?([\w.:-]{{1,64}})[\"'`]?$", re.IGNORECASE)
_RANGE = re.compile(r"^(\d{1,3})\s*[-–]\s*(\d{1,3})$")
_MADE_UP = re.compile(r"^(?:\d{1,4}|[a-zA-Z]{0,8}[-_:.]?\d[\w.-]{0,40})$")
_MARK = re.compile("\ue000(\\d+)\ue001")
_MARK_WHOLE = re.compile("\ue000\\d+\ue001")
_LEADING = re.compile("^(?:\ue000\\d+\ue001[\\s:–-]*)+(?=\\S)")
_AFTER_STOP = re.compile(
    "(?P<stop>[.!?…]+[\"'”’»)*_]*)\\s*(?P<marks>(?:[,;]?\\s*\ue000\\d+\ue001)+)(?P<again>[.!?]?)(?=\\s|$|[A-Z])"
)
_REFERENCES = re.compile(
    r"^\W*(?:sources?|references?|citations?|bibliography|works cited|quellen|literatur|sources? used|références|"
    r"fuentes|referencias)\W*$",
    re.IGNORECASE,
)
_LIST_MARK = re.compile(r"^\s*(?:[-*+•–▪]|\d{1,3}[.)]|>)\s+")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_HEADING = re.compile(r"^\s*(?:#{1,6}\s|\*\*[^*]{1,80}\*\*:?\s*$)")


def cited_sentences(text: str, known_ids: Iterable[str]) -> list[CitedSentence]:
    """The sentences of a generated text, each with what it cites: `[1, 2]`, `[1][2]`, `(1)`, `[source 1]`, `[1-3]`,
    before or after the full stop, or leading (`[1] Sentence.`). List marks, headings and code fences are taken off; a
    list of sources at the end is left out. Sentences that cite nothing come back with empty `ids`."""
    reader = _Reader({name.lower(): name for name in known_ids})
    found: list[CitedSentence] = []
    for paragraph in _paragraphs(text):
        found += reader.read(paragraph)
    return found


def _paragraphs(text: str) -> list[str]:
    """Lines, joined where a sentence goes on in the next."""
    paragraphs: list[str] = []
    open_paragraph = False
    for line in text.splitlines():
        if _REFERENCES.match(line) and paragraphs:
            break
        if not line.strip() or _FENCE.match(line) or _HEADING.match(line):
            open_paragraph = False
            continue
        plain = _LIST_MARK.sub("", line).strip()
        goes_on = open_paragraph and plain == line.strip() and not re.search(r"[.!?\])】]\s*$", paragraphs[-1])
        if goes_on:
            paragraphs[-1] += " " + plain
        else:
            paragraphs.append(plain)
        open_paragraph = True
    return paragraphs


class _Reader:
    """Replaces citation groups by marks that sentence splitting cannot tear apart, then reads them back."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known
        self._groups: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def read(self, paragraph: str) -> list[CitedSentence]:
        self._groups = []
        marked = _GROUP.sub(self._mark, paragraph)
        if _LEADING.match(marked) and not re.search("\ue001[.!?\\s]*$", marked):
            return self._leading(marked)
        marked = _AFTER_STOP.sub(self._before_stop, marked)
        return [sentence for unit in sentences(marked) if (sentence := self._sentence(unit.text))]

    def _leading(self, marked: str) -> list[CitedSentence]:
        """`[1] One. Two. [2] Three.`: a mark holds until the next one."""
        found: list[CitedSentence] = []
        for part in re.split("(?<=[.!?])\\s+(?=\ue000)", marked):
            head = _LEADING.match(part)
            marks, rest = (head[0], part[head.end() :]) if head else ("", part)
            found += [s for unit in sentences(rest) if (s := self._sentence(f"{marks} {unit.text}"))]
        return found

    @staticmethod
    def _before_stop(match: re.Match[str]) -> str:
        return f"{''.join(_MARK_WHOLE.findall(match['marks']))}{match['stop']} "

    def _mark(self, match: re.Match[str]) -> str:
        text = match.string
        if text[: match.start()].count("`") % 2:
            return match[0]
        inside = match[1] or match[2] or match[3]
        ids, unknown, other = self._ids(inside)
        round_one = match[3] is not None
        attached = match.start() > 0 and (text[match.start() - 1].isalnum() or text[match.start() - 1] == "_")
        if other or not (ids or unknown) or (round_one and unknown) or (attached and not ids):
            return match[0]
        self._groups.append((ids, unknown))
        return f"\ue000{len(self._groups) - 1}\ue001"

    def _ids(self, inside: str) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """Known ids, made-up ids, and whether anything else stands there (then it is no citation)."""
        ids: list[str] = []
        unknown: list[str] = []
        for part in re.split(r"\s*(?:[,;&]|\band\b|\]\s*\[)\s*|\s+(?=[\w^#]+$)", inside.strip()):
            between = _RANGE.match(part)
            numbers = [str(n) for n in range(int(between[1]), int(between[2]) + 1)] if between else []
            if between and len(numbers) <= 20 and any(n in self._known for n in numbers):
                ids += [self._known[n] for n in numbers if n in self._known]
                continue
            if re.fullmatch(rf"{_LABEL}\W*", part, re.IGNORECASE):
                continue
            name = _PART.match(part)
            if name is None:
                return (), (), True
            if name[1].lower() in self._known:
                ids.append(self._known[name[1].lower()])
            elif _MADE_UP.match(name[1]):
                unknown.append(name[1])
            else:
                return (), (), True
        return tuple(ids), tuple(unknown), False

    def _sentence(self, marked: str) -> CitedSentence | None:
        ids: dict[str, None] = {}
        unknown: dict[str, None] = {}
        for number in _MARK.findall(marked):
            known, made_up = self._groups[int(number)]
            ids |= dict.fromkeys(known)
            unknown |= dict.fromkeys(made_up)
        plain = re.sub("\\s*[,;]?\\s*\ue000\\d+\ue001", "", marked)
        plain = re.sub(r"(?<!\w)(\*\*|__)(.+?)\1(?!\w)", r"\2", plain).replace("**", "")
        plain = re.sub(r"\s+", " ", plain).strip(" \t,;:")
        if not any(character.isalnum() for character in plain):
            return None
        return CitedSentence(text=plain, ids=tuple(ids), unknown=tuple(unknown))
