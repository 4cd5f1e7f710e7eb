"""A folder of many documents of mixed types, made from a seed, with one answer hidden in it."""

import random
from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

QUESTION = "At which depth does the survey vessel Marlin anchor?"
ANSWER = "The survey vessel Marlin anchors at a depth of 47 metres."
_WORDS = "harbour tide buoy signal pilot ledger rope cargo mast anchor chart wind current pier crane lantern".split()
_KINDS = ("md", "txt", "rst", "html", "pdf")


def make(folder: Path, *, files: int, seed: int) -> None:
    """`files` documents, a fifth of each kind (md, txt, rst, html, pdf); the answer stands in one of them."""
    chance = random.Random(seed)  # a corpus, not a secret
    for n in range(files):
        kind = _KINDS[n % len(_KINDS)]
        paragraphs = [" ".join(_sentence(chance, n) for _ in range(4)) for _ in range(3)]
        if n == files // 2:
            paragraphs.insert(1, ANSWER)
        path = folder / f"section-{n % 7}" / f"page-{n}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, f"Report {n}", paragraphs)


def _sentence(chance: random.Random, number: int) -> str:
    one, two, three = chance.sample(_WORDS, 3)
    return f"In station {number} the {one} was moved to the {two} after {chance.randint(2, 90)} days of {three} work."


def _write(path: Path, title: str, paragraphs: list[str]) -> None:
    kind = path.suffix[1:]
    if kind == "pdf":
        _pdf(path, title, paragraphs)
        return
    if kind == "html":
        body = "".join(f"<p>{p}</p>" for p in paragraphs)
        text = f"<html><head><title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    else:
        heading = {"md": f"# {title}", "rst": f"{title}\n{'=' * len(title)}", "txt": title}[kind]
        text = "\n\n".join([heading, *paragraphs]) + "\n"
    path.write_text(text)


def _pdf(path: Path, title: str, paragraphs: list[str]) -> None:
    page = Canvas(str(path))
    page.drawString(72, 760, title)
    height = 730
    for paragraph in paragraphs:
        for sentence in paragraph.split(". "):
            page.drawString(72, height, sentence if sentence.endswith(".") else f"{sentence}.")
            height -= 16
        height -= 10
    page.save()
