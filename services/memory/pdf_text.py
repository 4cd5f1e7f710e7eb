"""Lines of PDF pages -> paragraphs: running heads and page numbers out, hyphens and line ends mended. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from services.memory.blocks import Block

EDGE = 3
"""Lines at the top and bottom of a page that may be a running head or foot."""
PAGE_NUMBER = re.compile(
    r"^(?:page\s+)?[-–—\s]*(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:/|of|von|sur|de)\s*\d{1,4})?[-–—\s]*$", re.I
)
WITH_NUMBER = re.compile(r"^\d{1,4}\s|\s\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?$")
NUMBERED = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[IVX]{1,5}\.|[A-Z]\.)\s+[A-Z][^.!?;:|]{2,70}$")
KNOWN = frozenset(
    "abstract introduction background methods method results discussion conclusion conclusions references summary "
    "acknowledgements acknowledgments appendix limitations contents overview evaluation".split()
)
BULLET = re.compile(r"^(?:[•▪◦‣*–-]|\d{1,2}[.)]|\([a-z0-9]\))\s+\S")
ENDS = re.compile(r"[.!?:;…][\"'”’)\]]*$")
ROW = re.compile(r"^\| .* \|$")
"""As `pdf_tables` writes it."""
HYPHENATED = re.compile(r"(\w*[^\W\d_])-$")


def read_pages(pages: Sequence[str], *, outline: Collection[str] = ()) -> list[Block]:
    """The blocks of all pages. `outline`: the headings that the PDF itself names."""
    lines = _without_edges([[line.strip() for line in page.split("\n")] for page in pages])
    titles = {_key(title) for title in outline if title.strip()}
    blocks: list[Block] = []
    for number, page in enumerate(lines, start=1):
        for block in _page(page, number=number, titles=titles):
            joins = bool(blocks) and blocks[-1].page != number and _continues(blocks[-1], block)
            if joins and HYPHENATED.search(blocks[-1].text):
                word, _, rest = block.text.partition(" ")
                blocks[-1] = Block(_join(blocks[-1].text, word), page=blocks[-1].page, joins=blocks[-1].joins)
                block = Block(rest, page=number)
            if block.text:
                blocks.append(Block(block.text, block.kind, page=number, joins=joins))
    return blocks


def _continues(before: Block, block: Block) -> bool:
    return before.kind == block.kind == "text" and not ENDS.search(before.text) and block.text[:1].islower()


def _key(line: str) -> str:
    return re.sub(r"[\W\d_]+", " ", line).strip().casefold()


def _without_edges(pages: list[list[str]]) -> list[list[str]]:
    """Pages without the lines that stand at the top or bottom of many of them, and without page numbers."""
    seen: Counter[str] = Counter()
    numbered: Counter[str] = Counter()
    for page in pages:
        edges = _edges(page)
        seen.update({_key(line) for line in edges if _key(line)})
        numbered.update({_key(line) for line in edges if _key(line) and WITH_NUMBER.search(line)})
    often = max(3, len(pages) // 3)
    running = {key for key, count in seen.items() if count >= often}
    twice = {key for key, count in numbered.items() if count >= 2}
    return [_trimmed(page, running, numbered=twice) for page in pages]


def _edges(page: list[str]) -> list[str]:
    full = [line for line in page if line]
    return full[:EDGE] + full[-EDGE:]


def _trimmed(page: list[str], running: Collection[str], *, numbered: Collection[str]) -> list[str]:
    full = [at for at, line in enumerate(page) if line]
    edges = {*full[:EDGE], *full[-EDGE:]}
    gone = {
        at for at in edges if _key(page[at]) in running or (_key(page[at]) in numbered and WITH_NUMBER.search(page[at]))
    }
    gone |= {at for at in {*full[:1], *full[-1:]} if PAGE_NUMBER.match(page[at])}
    left = [at for at in full if at not in gone]
    gone |= {at for at in {*left[:1], *left[-1:]} if PAGE_NUMBER.match(page[at])}
    return [line for at, line in enumerate(page) if at not in gone]


def _page(lines: list[str], *, number: int, titles: Collection[str]) -> Iterator[Block]:
    width = _width(lines)
    held = ""
    rows: list[str] = []
    for at, line in enumerate([*lines, ""]):
        if ROW.match(line):
            if held:
                yield Block(held, page=number)
                held = ""
            rows.append(line)
            continue
        if rows:
            yield Block("\n".join(rows), "lines", page=number)
            rows = []
        if at == len(lines):
            break
        heading = _is_heading(lines, at, titles=titles)
        if held and (not line or heading or BULLET.match(line) or _ends_paragraph(lines[at - 1], line, width=width)):
            yield Block(held, page=number)
            held = ""
        if heading:
            yield Block(line, "heading", page=number)
        elif line:
            held = _join(held, line)
    if held:
        yield Block(held, page=number)


def _width(lines: list[str]) -> int:
    """The usual length of a full line."""
    lengths = sorted(len(line) for line in lines if line)
    return lengths[int(len(lengths) * 0.75)] if lengths else 0


def _ends_paragraph(before: str, line: str, *, width: int) -> bool:
    """A short line ends one; so does a full stop well before the margin."""
    if len(before) < width * 0.55 and not line[:1].islower():
        return True
    return bool(ENDS.search(before)) and len(before) < width * 0.85 and not line[:1].islower()


def _is_heading(lines: list[str], at: int, *, titles: Collection[str]) -> bool:
    line = lines[at]
    words = line.split()
    if not words or len(line) > 90 or len(words) > 12 or line[-1] in ".,;":
        return False
    if _key(line) and (_key(line) in titles or _key(line) in KNOWN):
        return True
    alone = at == 0 or not lines[at - 1] or bool(ENDS.search(lines[at - 1]))
    follows = next((later for later in lines[at + 1 :] if later), "")
    if NUMBERED.match(line) and alone:
        return len(words) <= 10 and len(follows) > len(line)
    return line.isupper() and alone and len(words) >= 2 and len(follows) > len(line)


def _join(held: str, line: str) -> str:
    """Two lines of a paragraph: a hyphen at the end of the first goes when the word goes on in lower case."""
    broken = HYPHENATED.search(held)
    if broken and line[:1].islower():
        return held[:-1] + line
    if broken and line[:1].isalpha():  # "RabbitMQ-" + "Based": the hyphen belongs there
        return held + line
    return f"{held} {line}" if held else line
