"""Corpora made from seeds: 200 pages of plausible filler in five formats, with something planted on some of them."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from tests.quality import planted
from tests.quality.planted import FalseStatement, Planted

PAGES = 200
FORMATS = ("md", "txt", "rst", "html", "pdf")
TOPICS = ("storage hall", "night shift", "visitor centre", "northern workshop", "water supply", "loading ramp")
FILLER = (
    "The {t} was rebuilt in two stages after the flood.",
    "Staff of the {t} meet on the first Tuesday of each month.",
    "Most visitors reach the {t} by the eastern gate.",
    "A plan of the {t} hangs beside the stairs, with all exits marked.",
    "Deliveries for the {t} are registered before noon.",
    "The {t} has its own entrance, which is closed on holidays.",
    "Repairs in the {t} are carried out by the workshop on the ground floor.",
    "Two of the rooms in the {t} are used for training.",
    "The inventory of the {t} is checked against the list once in a quarter.",
    "Noise in the {t} stays below what the regulations allow.",
    "Since the last inspection the {t} has new lighting.",
    "The keys of the {t} are kept at the reception and handed out against a signature.",
)
ABOUT = (
    "The {x} stands in the {t} and may be looked at during the day.",
    "A {x} was moved from the {t} to its present place in spring.",
    "Spare parts for the {x} are ordered through the {t}.",
)
BESIDE = (
    "A {x} draws {n} watts in daily use.",
    "The {x} listens on port {n}.",
    "A {x} weighs {n} kilograms.",
    "The filter of the {x} is cleaned every {n} weeks.",
    "The tank of the {x} holds {n} litres.",
    "At most {n} operators can share one {x}.",
)


@dataclass
class Page:
    """One page before it has a format: headings with paragraphs; a table at the end where there is one."""

    title: str
    parts: list[tuple[str, list[str]]]
    table: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Corpus:
    """The files and what is planted in them. `home`: the file in which a text was planted."""

    files: dict[str, bytes]
    facts: list[Planted]
    contradictions: list[tuple[Planted, Planted]]
    false: list[FalseStatement]
    unanswerable: list[tuple[str, str]]
    home: dict[str, str] = field(default_factory=dict)


def corpus(seed: int) -> Corpus:
    """The same seed, the same corpus, byte for byte but for dates in PDFs."""
    r = random.Random(seed)
    name = planted.names(r)
    facts = planted.facts(r, name)
    pairs = planted.contradictions(r, name)
    false = planted.false_statements(name)
    subjects = [fact.subject for fact in facts] + [one.subject for one, _ in pairs] + [f.subject for f in false]
    pages = [_page(r, number, subjects, others=[next(name) for _ in range(2)]) for number in range(PAGES)]
    places = r.sample(range(PAGES), 9 + 6 + 4)
    home: dict[str, int] = {}
    for n, fact in enumerate(facts):
        _plant(r, pages[places[n % 9]], fact.text, fact.table)
        home[fact.question] = places[n % 9]
    for n, said in enumerate(text for pair in pairs for text in pair):
        _plant(r, pages[places[9 + n]], said.text, ())
    for n, lie in enumerate(false):
        page = pages[places[15 + n]]
        if lie.heading:
            page.parts.append((lie.heading, [lie.text]))
        else:
            page.parts.append(("Remarks", [f"{r.choice(FILLER).format(t=r.choice(TOPICS))} {lie.text}"]))
    files = {_name(n): _written(page, FORMATS[n % 5]) for n, page in enumerate(pages)}
    return Corpus(
        files, facts, pairs, false, planted.unanswerable(name, facts[0].subject),
        {question: _name(n) for question, n in home.items()},
    )  # fmt: skip


def _name(number: int) -> str:
    return f"page-{number:03}.{FORMATS[number % 5]}"


def _page(r: random.Random, number: int, subjects: Sequence[str], *, others: Sequence[str]) -> Page:
    topic = r.choice(TOPICS)
    parts = []
    for heading in r.sample(("Overview", "History", "Daily use", "Notes", "People"), 3):
        sentences = [text.format(t=topic) for text in r.sample(FILLER, r.randint(3, 6))]
        if r.random() < 0.3:
            sentences.insert(1, r.choice(ABOUT).format(x=r.choice(subjects), t=topic))
        if r.random() < 0.4:
            sentences.append(r.choice(BESIDE).format(x=r.choice(others), n=r.randint(3, 900)))
        parts.append((heading, [" ".join(sentences)]))
    return Page(f"The {topic}, part {number + 1}", parts)


def _plant(r: random.Random, page: Page, text: str, table: Sequence[Sequence[str]]) -> None:
    if table:
        page.table = table
        return
    _, paragraphs = r.choice(page.parts)
    sentences = paragraphs[0].split(". ")
    at = r.randint(1, len(sentences) - 1)
    paragraphs[0] = ". ".join([*sentences[:at], text.rstrip("."), *sentences[at:]])


def _written(page: Page, format_: str) -> bytes:
    if format_ == "pdf":
        return _pdf(page)
    writer = {"md": _markdown, "txt": _text, "rst": _rst, "html": _html}[format_]
    return writer(page).encode()


def _markdown(page: Page) -> str:
    lines = [f"# {page.title}", ""]
    for heading, paragraphs in page.parts:
        lines += [f"## {heading}", "", *(line for p in paragraphs for line in (p, ""))]
    if page.table:
        head, *rows = page.table
        lines += [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _text(page: Page) -> str:
    lines = [page.title.upper(), ""]
    for heading, paragraphs in page.parts:
        lines += [heading, "-" * len(heading), "", *(line for p in paragraphs for line in (p, ""))]
    return "\n".join([*lines, *("\t".join(row) for row in page.table)]) + "\n"


def _rst(page: Page) -> str:
    lines = [page.title, "=" * len(page.title), ""]
    for heading, paragraphs in page.parts:
        lines += [heading, "-" * len(heading), "", *(line for p in paragraphs for line in (p, ""))]
    if page.table:
        widths = [max(len(row[n]) for row in page.table) for n in range(len(page.table[0]))]
        rule = "  ".join("=" * width for width in widths)
        rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in page.table]
        lines += [rule, rows[0], rule, *rows[1:], rule]
    return "\n".join(lines) + "\n"


def _html(page: Page) -> str:
    parts = "".join(f"<h2>{h}</h2>" + "".join(f"<p>{p}</p>" for p in paragraphs) for h, paragraphs in page.parts)
    table = ""
    if page.table:
        head, *rows = page.table
        cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        table = f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{cells}</table>"
    navigation = '<nav><ul><li><a href="/">Home</a></li><li><a href="/map">Map</a></li></ul></nav>'
    head = f"<!doctype html><html><head><title>{page.title}</title></head><body>{navigation}<main>"
    foot = "</main><footer>All rights reserved. Use of cookies.</footer></body></html>"
    return f"{head}<h1>{page.title}</h1>{parts}{table}{foot}"


def _pdf(page: Page) -> bytes:
    styles = getSampleStyleSheet()
    flow = [Paragraph(page.title, styles["Title"])]
    for heading, paragraphs in page.parts:
        flow += [Paragraph(heading, styles["Heading2"]), *(Paragraph(p, styles["BodyText"]) for p in paragraphs)]
    if page.table:
        flow += [Spacer(1, 8), Table([list(row) for row in page.table])]
    out = io.BytesIO()
    SimpleDocTemplate(out, title=page.title, invariant=1).build(flow)
    return out.getvalue()
