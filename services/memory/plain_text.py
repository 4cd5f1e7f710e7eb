"""Plain text and reStructuredText -> blocks. Pure."""

import re
from collections.abc import Iterator

from services.memory.blocks import Block, row

UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}\s*$")
NUMBERED = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[IVX]{1,5}\.)\s+[A-Z][^.!?;:,|]{2,70}$")
BULLET = re.compile(r"^\s*(?:[-*+•–]|\d{1,3}[.)]|\(?[a-z]\))\s+")
GAPS = re.compile(r"\S(?: {3,}|\t)\S")
DIRECTIVE = re.compile(r"^\.\.(?:\s+(?:\|[^|]+\|\s+)?([\w:.-]+)::\s*(.*))?(?:\s.*)?$")
PROSE = frozenset("note tip hint warning caution important danger attention error admonition seealso versionadded "
                  "versionchanged deprecated topic sidebar rubric epigraph only container".split())  # fmt: skip
CODE = frozenset("code code-block sourcecode literalinclude parsed-literal prompt doctest".split())
ROLE = re.compile(r":[\w:.+-]+:`~?!?([^`<]*?)(?:\s*<[^`>]*>)?`")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?")
REFERENCE = re.compile(r"`([^`]+)`__?")
LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
STRONG = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*]+?)(?<=[^\s*])\1(?![\w*])")
NAMED = re.compile(r"\b(\w+)_(?=[\s.,;:)]|$)")
TABLE_RULE = re.compile(r"^[\s|+:=-]+$")
GRID = re.compile(r"^\s*\+[-=+]+\+\s*$")
SIMPLE = re.compile(r"^\s*={2,}(?:\s+={2,})+\s*$")


def read_text(text: str) -> tuple[str, list[Block]]:
    """(title, blocks) of plain text: wrapped lines are joined, what is laid out in columns keeps its lines."""
    blocks = [block for lines in _paragraphs(text.split("\n")) for block in _paragraph(lines)]
    if blocks and blocks[0].kind == "text" and len(blocks) > 1 and _is_title(blocks[0].text):
        blocks[0] = Block(blocks[0].text, "heading")
    title = blocks[0].text if blocks and blocks[0].kind == "heading" else ""
    return title, blocks


def read_rst(text: str) -> tuple[str, list[Block]]:
    """(title, blocks) of reStructuredText: directives that draw are dropped, those that tell are kept as text."""
    blocks = list(_rst(text.split("\n")))
    return next((block.text for block in blocks if block.kind == "heading"), ""), blocks


def _spread(line: str) -> str:
    """Without tabs: an indent to the next stop of four; a tab between words becomes wide enough to end a column."""
    words = line.lstrip()
    indent = line[: len(line) - len(words)].expandtabs(4)
    return indent + words.rstrip().replace("\t", "    ")


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    held: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            held.append(_spread(line))
        elif held:
            yield held
            held = []


def _paragraph(lines: list[str]) -> Iterator[Block]:
    if len(lines) >= 2 and UNDERLINE.match(lines[1]) and len(lines[0]) <= 100:
        yield Block(lines[0], "heading")
        lines = lines[2:]
    lines = [line for line in lines if not UNDERLINE.match(line.strip())]
    if not lines:
        return
    if len(lines) == 1 and _is_heading(lines[0].strip()):
        yield Block(lines[0], "heading")
    elif any(BULLET.match(line) for line in lines) and not lines[0][:1].isalpha():
        yield Block("\n".join(_items(lines)), "lines")
    elif _is_prose(lines):
        yield Block(" ".join(lines))
    else:
        yield Block("\n".join(_columns(line.strip()) for line in lines if not TABLE_RULE.match(line)), "lines")


def _columns(line: str) -> str:
    """A line of a table drawn with bars or spaces as a row; any other line as it is."""
    if "|" in line:
        return row(cell.strip() for cell in line.strip("|").split("|"))
    cells = re.split(r" {3,}", line)
    return row(cells) if len(cells) > 1 else line


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if BULLET.match(line) or not items:
            items.append(line.strip())
        else:
            items[-1] += " " + line.strip()
    return items


def _is_prose(lines: list[str]) -> bool:
    """Lines wrapped at a margin, rather than verse, columns or a listing."""
    if sum(bool(GAPS.search(line.strip())) for line in lines) * 2 >= len(lines):
        return False
    return len(lines) == 1 or sum(len(line) for line in lines[:-1]) / (len(lines) - 1) >= 40


def _is_title(line: str) -> bool:
    return len(line) <= 90 and len(line.split()) <= 14 and line[-1:] not in ".;,:" and not BULLET.match(line)


def _is_heading(line: str) -> bool:
    if len(line) > 100:
        return False
    words = line.split()
    if NUMBERED.match(line) and len(words) <= 9:
        return True
    letters = [letter for letter in line if letter.isalpha()]
    return len(letters) >= 4 and len(words) <= 10 and line.isupper() and line[-1] not in ".,;"


def _rst(lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        line = _spread(lines[at])
        following = lines[at + 1].rstrip() if at + 1 < len(lines) else ""
        if not line.strip():
            at += 1
        elif UNDERLINE.match(line) and at + 2 < len(lines) and UNDERLINE.match(lines[at + 2].rstrip()) and following:
            yield Block(_rst_words(following.strip()), "heading")
            at += 3
        elif UNDERLINE.match(following) and not UNDERLINE.match(line) and len(following) >= min(len(line), 4):
            yield Block(_rst_words(line.strip()), "heading")
            at += 2
        elif line.startswith(".."):
            blocks, at = _directive(lines, at)
            yield from blocks
        else:
            blocks, at = _rst_paragraph(lines, at)
            yield from blocks


def _directive(lines: list[str], at: int) -> tuple[list[Block], int]:
    found = DIRECTIVE.match(lines[at].rstrip())
    name, argument = (found.group(1) or "", found.group(2) or "") if found else ("", "")
    body, after = _body(lines, at + 1)
    name = name.split(":")[-1]
    while body and (re.match(r"^:[\w-]+:", body[0]) or not body[0].strip()):  # options of the directive
        body = body[1:]
    if name in CODE:
        return [Block("\n".join(body), "code")], after
    if name not in PROSE:
        return [], after
    said = [Block(_rst_words(argument))] if argument and name not in ("only", "container") else []
    return [*said, *_rst(body)], after


def _body(lines: list[str], at: int) -> tuple[list[str], int]:
    """The indented lines from `at` on, without their indent, and the line after them."""
    end = at
    while end < len(lines) and (not lines[end].strip() or lines[end][:1].isspace()):
        end += 1
    body = [_spread(line) for line in lines[at:end]]
    indent = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    return [line[indent:].rstrip() for line in body], end


def _rst_paragraph(lines: list[str], at: int) -> tuple[list[Block], int]:
    held: list[str] = []
    while at < len(lines) and lines[at].strip():
        held.append(_spread(lines[at]))
        at += 1
    if GRID.match(held[0]) or SIMPLE.match(held[0]):
        return [Block("\n".join(_rows(held)), "lines")], at
    literal = held[-1].endswith("::")
    if literal:
        held[-1] = held[-1][:-1] if not held[-1].endswith(" ::") and held[-1] != "::" else held[-1][:-2]
    blocks = [
        Block(_rst_words(block.text), block.kind) for block in _paragraph([line for line in held if line.strip()])
    ]
    if literal:
        body, at = _body(lines, at)
        blocks.append(Block("\n".join(body).strip("\n"), "code"))
    return blocks, at


def _rows(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if GRID.match(line) or SIMPLE.match(line):
            continue
        cells = line.strip().strip("|").split("|") if "|" in line else re.split(r" {2,}", line.strip())
        yield row(_rst_words(cell.strip()) for cell in cells)


def _rst_words(text: str) -> str:
    for pattern in (LITERAL, ROLE, LINK, REFERENCE):
        text = pattern.sub(r"\1", text)
    return NAMED.sub(r"\1", STRONG.sub(r"\2", text)).replace("\\ ", "")
