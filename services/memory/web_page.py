"""HTML -> blocks, by trafilatura (main text, no navigation) and lxml. Runs in the parsing child only."""

import re
from collections.abc import Iterator
from typing import Any

from services.memory.blocks import Block, clean, one_line, row

FURNITURE = "script style noscript template nav header footer aside form button select iframe svg dialog".split()
BLOCK_TAGS = frozenset(
    "p div section article main li ul ol dl dt dd table tr td th blockquote pre h1 h2 h3 h4 h5 h6 br hr figure".split()
)
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
    if sum(len(block.text) for block in blocks) < SHORT:
        page_title, page = _whole_page(text)
        title = title or page_title
        blocks = page or blocks
    title = title or next((block.text for block in blocks if block.kind == "heading"), "")
    return title, blocks


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


def _whole_page(text: str) -> tuple[str, list[Block]]:
    """Every text of the page but scripts and furniture: for pages too short to tell text from navigation."""
    from lxml import etree, html  # type: ignore[import-untyped]

    try:
        root = html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8", huge_tree=False))
    except (etree.LxmlError, ValueError):
        return "", []
    title = one_line(clean(root.findtext(".//title") or ""))
    for tag in FURNITURE:
        for element in list(root.iter(tag)):
            element.drop_tree()
    body = root.find("body")
    return title, [block for block in _lines(body if body is not None else root) if block.text]


def _lines(root: Any) -> Iterator[Block]:
    """Walks without recursion: pages nested ten thousand deep exist."""
    held: list[str] = []
    for event, element in _events(root):
        if element.tag in BLOCK_TAGS:
            yield Block(one_line(clean("".join(held))))
            held = []
        held.append((element.text if event == "start" else element.tail) or "")
    yield Block(one_line(clean("".join(held))))


def _events(root: Any) -> Iterator[tuple[str, Any]]:
    from lxml import etree

    for event, element in etree.iterwalk(root, events=("start", "end")):
        if isinstance(element.tag, str):
            yield event, element
