"""HTML -> blocks, by trafilatura (main text, no navigation) and lxml. Runs in the parsing child only."""

import re
from collections.abc import Iterator
from typing import Any

from services.memory.blocks import Block, clean, one_line, row
from services.memory.whole_page import read_whole_page

LARGE = 5_000_000
FURNISHED = 1.5
"""Times the main text: a page with more beside it is taken to be full of navigation."""
SHORT = 250
"""Characters: in a page with less main text than this, text and navigation cannot be told apart by their looks."""


def read_html(text: str) -> tuple[str, list[Block]]:
    """(title, blocks) of a page. A short page is taken whole, but for what its own tags call navigation."""
    import trafilatura  # late: 0.5 s, and most children see other files first

    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    found: Any = trafilatura.bare_extraction(
        text, include_tables=True, favor_recall=True, include_comments=False, include_images=False, with_metadata=True
    )
    blocks = list(_walk(found.body)) if found is not None and found.body is not None else []
    title = (found.title or "") if found is not None else ""
    if len(text) < LARGE and not any(block.kind == "heading" for block in blocks):
        page_title, page = read_whole_page(text)
        title = title or page_title
        blocks = page if _is_better(page, blocks) else blocks
    title = title or next((block.text for block in blocks if block.kind == "heading"), "")
    return title, blocks


def _is_better(page: list[Block], blocks: list[Block]) -> bool:
    """A page of old has no tags for its main text: trafilatura then loses the headings. What the whole page has, if it
    is not mostly something else, is better; so it is where there is too little text to tell."""
    size, whole = (sum(len(block.text) for block in some) for some in (blocks, page))
    if size < SHORT:
        return bool(page)
    return whole < FURNISHED * size and any(block.kind == "heading" for block in page)


def _walk(element: Any) -> Iterator[Block]:
    """The blocks of trafilatura's tree: p, head, list, table, quote, code."""
    for child in element:
        if child.tag == "head":
            yield Block(_text(child), "heading")
        elif child.tag == "table":
            yield Block("\n".join(_rows(child)), "lines")
        elif child.tag == "list":
            yield Block("\n".join("- " + _text(item) for item in child.iter("item") if _text(item)), "lines")
        elif child.tag in ("quote", "code") and "\n" in (child.text or "") and len(child) == 0:
            yield Block(clean("".join(child.itertext())).strip("\n"), "code")
        elif child.tag in ("div", "quote", "article", "section") and any(inner.tag in ("p", "list") for inner in child):
            yield from _walk(child)
        elif isinstance(child.tag, str):
            yield Block(_text(child))
        if child.tail and child.tail.strip():
            yield Block(one_line(clean(child.tail)))


def _rows(table: Any) -> Iterator[str]:
    for element in table.iter("row"):
        cells = [_text(cell) for cell in element.iter("cell")]
        if any(cells):
            yield row(cells)


def _text(element: Any) -> str:
    """The element's words; nested items of a list are left to themselves."""
    pieces = [element.text or ""]
    for child in element:
        if child.tag in ("list", "item") and element.tag == "item":
            continue
        if child.tag == "lb":
            pieces.append(" ")
        pieces.append(_text(child))
        pieces.append(child.tail or "")
    return one_line(clean("".join(pieces)))
