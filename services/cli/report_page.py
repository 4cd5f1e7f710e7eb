"""`report.html`: the report as one page that needs no network and no script. A click on [3] leads to the stored passage
with the quote marked; it prints, follows dark or light, and is readable on a phone. Pure.

Everything in it was said by a source or a model: Markdown is rendered without HTML, the rest is escaped, and the page's
own policy forbids scripts, images and requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from shared.contracts.labels import LABELS, labels_for
from shared.contracts.language import language_of
from shared.contracts.report import Citation, Removed, ReportBundle

AROUND = 280
"""Characters of the stored text that are shown on either side of a quote."""
_STYLE = Path(__file__).with_name("report_page.css")
_MARK = re.compile(r"\[(\d{1,4})\]")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(report: ReportBundle, texts: Mapping[str, str]) -> str:
    """The whole page, always the same. `texts`: stored texts by sha256; without one the quote stands alone."""
    known = {citation.n for citation in report.citations}
    shown = "\n".join(_citation(citation, texts.get(citation.sha256)) for citation in report.citations)
    name = labels_for(report.goal).sources
    aside = f'<aside aria-label="{name}">\n<h2>{name}</h2>\n{shown}\n</aside>' if shown else ""
    return (
        f'<!doctype html>\n<html lang="{language_of(report.goal)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(_one_line(report.goal)[:120])}</title>\n<style>\n{_STYLE.read_text()}</style>\n</head>\n"
        f"<body>\n<main>\n{_article(report.report, known)}{_removed(report.removed)}</main>\n"
        f"{aside}\n</body>\n</html>\n"
    )


def _article(markdown: str, known: Iterable[int]) -> str:
    """The report's Markdown without its list of sources, each [n] a link."""
    parser = (
        MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink", "text_join"])
    )
    tokens = _without_sources(parser.parse(markdown))
    first: set[int] = set()
    for token in tokens:
        if token.type == "inline" and token.children:
            token.children = [new for child in token.children for new in _linked(child, set(known), first)]
    return str(parser.renderer.render(tokens, parser.options, {}))


def _without_sources(tokens: Sequence[Token]) -> list[Token]:
    """All but the last section "Sources"; the line with the report's figure, its last paragraph, stays."""
    names = {labels.sources for labels in LABELS.values()}
    starts = [n for n, token in enumerate(tokens) if token.type == "heading_open" and tokens[n + 1].content in names]
    ends = [n for n, token in enumerate(tokens) if token.type == "paragraph_open" and token.level == 0]
    if not starts or not ends or ends[-1] < starts[-1]:
        return list(tokens)
    return [*tokens[: starts[-1]], *tokens[ends[-1] :]]


def _linked(token: Token, known: set[int], first: set[int]) -> list[Token]:
    """A text token as text and links. Brackets that were escaped are a source's own, and another kind of token."""
    if token.type == "text_special":
        return [Token("text", "", 0, content=token.content)]
    if token.type != "text":
        return [token]
    found: list[Token] = []
    at = 0
    for match in _MARK.finditer(token.content):
        number = int(match[1])
        if number not in known:
            continue
        found.append(Token("text", "", 0, content=token.content[at : match.start()]))
        name = "" if number in first else f' id="r{number}"'
        first.add(number)
        found.append(Token("html_inline", "", 0, content=f'<a class="n"{name} href="#c{number}">[{number}]</a>'))
        at = match.end()
    return [*found, Token("text", "", 0, content=token.content[at:])]


def _citation(citation: Citation, text: str | None) -> str:
    place = [f"<b>{escape(_one_line(citation.source))}</b>"]
    if citation.page is not None:
        place.append(f"p. {citation.page}")
    if citation.heading:
        place.append(f"“{escape(_one_line(citation.heading))}”")
    title = f"<p>{escape(_one_line(citation.title))}</p>" if citation.title else ""
    back = f'<a class="n" href="#r{citation.n}" title="back to the text">[{citation.n}]</a>'
    return (
        f'<section class="citation" id="c{citation.n}">\n<h3>{back} {", ".join(place)}</h3>\n{title}'
        f"<blockquote>{_passage(citation, text)}</blockquote>\n</section>"
    )


def _passage(citation: Citation, text: str | None) -> str:
    """The quote marked in what stands around it; alone where the stored text is not at hand or does not hold it."""
    quote = f"<mark>{escape(citation.quote)}</mark>"
    if text is None or text[citation.start : citation.end] != citation.quote:
        return quote
    start, end = max(0, citation.start - AROUND), min(len(text), citation.end + AROUND)
    before, after = text[start : citation.start], text[citation.end : end]
    if start:
        before = "… " + before.split(maxsplit=1)[-1] if " " in before else "… "
    if end < len(text):
        after = after.rsplit(maxsplit=1)[0] + " …" if " " in after else " …"
    return f"{escape(before)}{quote}{escape(after)}"


def _removed(removed: Sequence[Removed]) -> str:
    if not removed:
        return ""
    items = "\n".join(f"<li>{escape(r.sentence)} <i>{escape(r.reason)}</i></li>" for r in removed)
    return f"<details>\n<summary>What the gate removed ({len(removed)})</summary>\n<ul>\n{items}\n</ul>\n</details>\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
