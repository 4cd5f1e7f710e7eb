"""Markdown -> blocks of plain text: what a reader would see, so that quotes read well. Pure.

Emphasis, code marks and link targets go; badges, images, comments and link definitions go whole; tables stay as rows
`| a | b |`, lists as `- item` lines, code indented by four spaces.
"""

import html
import re
from collections.abc import Iterator

from services.memory.blocks import Block, row

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
ATX = re.compile(r"^ {0,3}#{1,6}(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
SETEXT = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t]*$")
RULE = re.compile(r"^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
ITEM = re.compile(r"^\s*(?:[-*+]|(\d{1,9})[.)])\s+(?:\[[ xX]\]\s+)?(.*)$")
DEFINITION = re.compile(r"^ {0,3}\[([^\]^]+)\]:\s+\S+")
FOOTNOTE = re.compile(r"^ {0,3}\[\^[^\]]+\]:\s*")
CODE_SPAN = re.compile(r"(`+)(.+?)(?<!`)\1(?!`)", re.DOTALL)
TAGS = re.compile(
    r"</?(?:a|abbr|b|blockquote|br|center|code|del|details|div|dl|dt|dd|em|figure|figcaption|font|h[1-6]|hr|i|img|ins|"
    r"kbd|li|mark|ol|p|picture|pre|s|samp|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|u|ul|var|"
    r"video)\b[^<>]*>",
    re.IGNORECASE,
)
INLINE = (
    (re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)"), ""),  # a badge: an image that is a link
    (re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), ""),
    (re.compile(r"\[\^[^\]]+\]"), ""),
    (re.compile(r"(?<!!)\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+[\"'(][^)]*)?\)"), r"\1"),
    (re.compile(r"\[([^\[\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(r"<((?:https?|mailto|ftp):[^\s<>]+)>"), r"\1"),
    (TAGS, ""),
    (re.compile(r"(\*{1,3})(?=[^\s*])([^*\n]*?[^\s*])\1"), r"\2"),
    (re.compile(r"(?<![\w_])(_{1,3})(?=[^\s_])(.+?)(?<=[^\s_])\1(?![\w_])"), r"\2"),
    (re.compile(r"~~(?=\S)([^~]+?)~~"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])"), r"\1"),
)


def read_markdown(text: str) -> tuple[str, list[Block]]:
    """(title, blocks): the title is the front matter's, else the first heading's."""
    title = ""
    front = FRONT_MATTER.match(text)
    if front:
        found = FRONT_TITLE.search(front.group(1))
        title = found.group(1) if found else ""
        text = text[front.end() :]
    blocks = list(_blocks(text.split("\n")))
    return title or next((block.text for block in blocks if block.kind == "heading"), ""), blocks


def plain(text: str) -> str:
    """Inline Markdown as plain words; what stands in code marks stays as it is."""
    pieces, at = [], 0
    for span in CODE_SPAN.finditer(text):
        pieces.append(_words(text[at : span.start()]))
        pieces.append(span.group(2).strip())
        at = span.end()
    return "".join([*pieces, _words(text[at:])])


def _words(text: str) -> str:
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return html.unescape(text)


def _blocks(lines: list[str]) -> Iterator[Block]:
    at, held = 0, list[str]()
    lines = _without_comments(lines)
    while at < len(lines):
        line = lines[at]
        special = _special(lines, at, open_paragraph=bool(held))
        if special is None:
            if line.strip():
                held.append(FOOTNOTE.sub("", line.strip().lstrip(">").strip()))
            if (not line.strip() or at + 1 == len(lines)) and held:
                yield Block(plain(" ".join(held)))
                held = []
            at += 1
            continue
        block, after = special
        if block is not None and block.kind == "heading" and block.text == "":  # the underline of what is held
            block = Block(plain(" ".join(held)), "heading")
        elif held:
            yield Block(plain(" ".join(held)))
        held = []
        if block is not None:
            yield block
        at = after


def _special(lines: list[str], at: int, *, open_paragraph: bool) -> tuple[Block | None, int] | None:
    """What is not a paragraph and begins at this line: (block or nothing, the line after it); None if there is none."""
    line = lines[at]
    fence = FENCE.match(line)
    if fence:
        return _fenced(lines, at, fence.group(1))
    heading = ATX.match(line)
    if heading:
        return Block(plain(heading.group(1) or ""), "heading"), at + 1
    if open_paragraph and SETEXT.match(line):
        return Block("", "heading"), at + 1
    if RULE.match(line) or (DEFINITION.match(line) and not FOOTNOTE.match(line)):
        return None, at + 1
    if "|" in line and at + 1 < len(lines) and "|" in lines[at + 1] and TABLE_RULE.match(lines[at + 1]):
        return _table(lines, at)
    if ITEM.match(line) and (not open_paragraph or not line.startswith("    ")):
        return _list(lines, at)
    if line.startswith("    ") and not open_paragraph and line.strip():
        return _indented(lines, at)
    return None


def _without_comments(lines: list[str]) -> list[str]:
    """HTML comments taken out, except inside fences."""
    kept: list[str] = []
    fence, inside = "", False
    for line in lines:
        mark = FENCE.match(line)
        if not inside and mark and (not fence or line.strip() == fence[0] * len(line.strip())):
            fence = "" if fence else mark.group(1)
        if not fence:
            line, inside = _uncommented(line, inside)
        kept.append(line)
    return kept


def _uncommented(line: str, inside: bool) -> tuple[str, bool]:
    kept = ""
    while line:
        if inside:
            _, closed, line = line.partition("-->")
            inside = not closed
        else:
            before, opened, line = line.partition("<!--")
            kept += before
            inside = bool(opened)
    return kept, inside


def _fenced(lines: list[str], at: int, fence: str) -> tuple[Block, int]:
    end = at + 1
    while end < len(lines) and not (lines[end].strip().startswith(fence) and not lines[end].strip().strip(fence[0])):
        end += 1
    return Block("\n".join(lines[at + 1 : end]), "code"), end + 1


def _indented(lines: list[str], at: int) -> tuple[Block, int]:
    end = at
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    return Block("\n".join(line[4:] for line in lines[at:end]).rstrip(), "code"), end


def _table(lines: list[str], at: int) -> tuple[Block, int]:
    end = at + 2
    while end < len(lines) and "|" in lines[end] and lines[end].strip():
        end += 1
    rows = [lines[at], *lines[at + 2 : end]]
    return Block("\n".join(row(_cells(line)) for line in rows), "lines"), end


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|").removesuffix("|")
    return [plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)]


def _list(lines: list[str], at: int) -> tuple[Block, int]:
    """Items, one a line, nested ones too; wrapped lines belong to their item."""
    items: list[str] = []
    while at < len(lines):
        line, found = lines[at], ITEM.match(lines[at])
        if found:
            items.append((f"{found.group(1)}. " if found.group(1) else "- ") + found.group(2).strip())
        elif not line.strip() or _ends_list(lines, at):
            break
        else:
            items[-1] += " " + line.strip()
        at += 1
    return Block("\n".join(plain(item) for item in items), "lines"), at


def _ends_list(lines: list[str], at: int) -> bool:
    return bool(FENCE.match(lines[at]) or ATX.match(lines[at]) or RULE.match(lines[at]))
