"""Sentences of a stored text, as spans of it: what can be quoted, scored and checked one by one."""

import re
from dataclasses import dataclass
from typing import Literal

from shared.contracts.words import content_words

__all__ = ["Sentence", "content_words", "sentences"]

Kind = Literal["sentence", "heading", "item", "row", "code"]


@dataclass(frozen=True)
class Sentence:
    """One unit of a text; `text == source[start:end]`, without list marker or `#`.

    `kind`: `row` is one row of a table, `item` a list item that is no full sentence, `code` a line of a code block.
    """

    start: int
    end: int
    text: str
    kind: Kind = "sentence"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _set(
    """e.g i.e eg ie al vs cf fig figs abb tab eq eqs sec secs ch chap ref refs approx ca resp viz dr mr mrs ms prof st
    jr sr dept vgl bspw ggf evtl inkl sog z.b d.h u.a o.g env mme mlle sra núm pág p.ej p.ex vol ed eds rev gen col capt
    gov sen rep hon messrs incl excl aka a.k.a w.r.t"""
)
_BEFORE_NUMBER = _set("no nr nos p pp s art v ver bd § kap section")
_SOFT = _set("etc inc ltd co corp usw bzw u.s.w")
_MONTH = re.compile(
    r"(Jan|Feb|März|Mär|Mar|Apr|Mai|May|Jun|Jul|Aug|Sep|Okt|Oct|Nov|Dez|Dec|janv|févr|mars|avril|juin|juil|août)", re.I
)
_STARTERS = _set(
    """The It This That These Those In On At An A We They He She There If When While For To But And However Then As With
    Its Their Each Every Both Some Most Der Die Das Es Ein Eine Wir Sie Le La Les Il Elle Un Une El Los Las"""
)
_STOP_MARK = re.compile(r"[.!?…。]+[\"'”’»)\]*_]*(?:\[\d+(?:[,;–-]\s*\d+)*\])*(?=\s|$)")
_FENCE = re.compile(r"\s*(```|~~~)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
_UNDERLINE = re.compile(r"\s*([=\-~^\"#*+])\1{2,}\s*$")
_BULLET = re.compile(r"\s*(?:[-*+•–▪◦]|\(?\d{1,3}[.)]|[a-z]\))\s+(?=\S)")
_RULE = re.compile(r"^[\s|+:=\-]*$")
_PLAIN_HEADING = re.compile(r"\s*(?:\d+(?:\.\d+)*\.?\s+)?[A-ZÄÖÜÉÈÁ0-9`][^.!?;,|]{0,70}\s*$")


def sentences(text: str) -> list[Sentence]:
    """The units of a text in order. Never split at `et al.`, `e.g.`, `Fig. 3`, decimals, versions or initials."""
    found: list[Sentence] = []
    for start, end, kind in _blocks(text):
        if kind == "sentence":
            found += _split(text, start, end)
        elif kind == "item":
            parts = _split(text, start, end)
            whole = len(parts) > 1 or (parts and parts[0].text.endswith((".", "!", "?")))
            found += parts if whole else [Sentence(p.start, p.end, p.text, "item") for p in parts]
        elif unit := _trimmed(text, start, end, kind):
            found.append(unit)
    return found


def _trimmed(text: str, start: int, end: int, kind: Kind) -> Sentence | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Sentence(start, end, text[start:end], kind) if end > start else None


def _lines(text: str) -> list[tuple[int, int, str]]:
    lines, position = [], 0
    for line in text.splitlines(keepends=True):
        lines.append((position, position + len(line), line.rstrip("\r\n\f\v\x85\u2028\u2029")))
        position += len(line)
    return lines


def _blocks(text: str) -> list[tuple[int, int, Kind]]:
    """Spans of paragraphs, items, headings, rows and code lines, found line by line."""
    blocks: list[tuple[int, int, Kind]] = []
    open_block = False
    fenced = False
    lines = _lines(text)
    for number, (start, end, line) in enumerate(lines):
        following = lines[number + 1][2] if number + 1 < len(lines) else ""
        if _FENCE.match(line):
            fenced, open_block = not fenced, False
        elif fenced or (line.startswith("    ") and not open_block and line.strip()):  # as the library stores code
            blocks.append((start, end, "code"))
        elif not line.strip() or _RULE.match(line) or _UNDERLINE.match(line):
            open_block = False
        elif single := _single(line, following, fresh=not open_block or _ended(text, blocks)):
            offset, kind = single
            blocks.append((start + offset, end, kind))
            open_block = False
        elif bullet := _BULLET.match(line):
            blocks.append((start + bullet.end(), end, "item"))
            open_block = True
        elif open_block:
            blocks[-1] = (blocks[-1][0], end, blocks[-1][2])
        else:
            blocks.append((start, end, "sentence"))
            open_block = True
    return blocks


def _ended(text: str, blocks: list[tuple[int, int, Kind]]) -> bool:
    return bool(blocks) and text[: blocks[-1][1]].rstrip()[-1:] in ".!?:"


def _single(line: str, following: str, *, fresh: bool) -> tuple[int, Kind] | None:
    """Is this line a unit of its own? Its text starts at the offset returned."""
    if heading := _HEADING.match(line):
        return heading.end(), "heading"
    if line.lstrip().startswith("|") or line.count(" | ") >= 2 or line.count("\t") >= 2:
        return 0, "row"
    if _UNDERLINE.match(following) and not _RULE.match(line) and len(line.strip()) < 120:
        return 0, "heading"
    if not fresh or (_BULLET.match(line) and not re.match(r"\s*\d+[.)]\s+[A-Z][^.]*$", line)):
        return None
    if _PLAIN_HEADING.match(line) and not line.rstrip().endswith(":") and len(line.split()) <= 8:
        nearer = following.strip()
        if not nearer:
            return (0, "heading") if not _BULLET.match(line) else None
        if (nearer[0].isupper() or _BULLET.match(following)) and len(nearer) > len(line.strip()) + 20:
            return 0, "heading"
    return None


def _split(text: str, start: int, end: int) -> list[Sentence]:
    found: list[Sentence] = []
    begin = start
    for mark in _STOP_MARK.finditer(text, start, end):
        if mark.end() < end and not _ends_here(text, mark, begin=begin, end=end):
            continue
        if unit := _trimmed(text, begin, mark.end(), "sentence"):
            found.append(unit)
        begin = mark.end()
    if unit := _trimmed(text, begin, end, "sentence"):
        found.append(unit)
    return found


def _ends_here(text: str, mark: re.Match[str], *, begin: int, end: int) -> bool:
    """Does a sentence end at this mark? Looks at the word before and the words after."""
    after = text[mark.end() : min(end, mark.end() + 60)].lstrip().lstrip("\"'“‘«([*_`")
    if not after:
        return True
    code = re.match(r"[a-z]\w*[._(]\w", after) is not None
    if after[0].islower() and not code:
        return False
    if mark[0][0] != ".":
        return True
    if mark[0].startswith(".."):
        return True
    before = re.search(r"[\w.§]*$", text[max(begin, mark.start() - 30) : mark.start()])
    word = before[0].lower().rstrip(".") if before else ""
    next_word = re.match(r"\w+", after)
    starter = next_word is not None and next_word[0] in _STARTERS
    if word in _NEVER_LAST:
        return False
    if word in _BEFORE_NUMBER:
        return not after[0].isdigit()
    if word in _SOFT:
        return starter
    if (len(word) == 1 and word.isalpha()) or re.fullmatch(r"(?:[a-z]\.)+[a-z]", word):
        return starter
    return not (word.isdigit() and len(word) <= 2 and _MONTH.match(after))
