"""Two-column papers with all that must never become a sentence of a report: running heads, authors, captions,
references, contents, licences, page numbers, hyphens at line ends, ligatures, openings that lean."""

import io
import random
from dataclasses import dataclass

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Spacer

from tests.quality.planted import names

NEVER = (
    "Journal of", "Vol.", "All rights reserved", "Figure", "Table 2", "doi", "arXiv", "@", "Contents", "Page ", "[12]",
    "[3,",     "As Fig", "?", "et al. (2", "Keywords", "Received", "University of", "Proc.",
    "A note on", "■",
)  # fmt: skip
"""What shows that such a thing got into a report."""
LEANS = ("However,", "These results", "This shows")
"""May stand only after the sentence that stands before it in the paper."""
FILLER = (
    "The experiment was repeated on five days with the same equipment.",
    "Samples were kept in sealed boxes until they were measured.",
    "All instruments were calibrated before each run.",
    "The room had a constant temperature during the whole study.",
    "Two observers recorded the readings independently of each other.",
    "Missing readings were left out of the evaluation.",
    "A difference of less than one percent was not taken into account.",
)
LEANING = (
    "However, this was not seen in every run.",
    "These results agree with what was expected.",
    "As Fig. 3 shows, the effect vanishes later.",
    "This shows that the method works.",
    "Is the effect real?",
)


@dataclass(frozen=True)
class Paper:
    """One paper, its subject, and what a question about it must find."""

    name: str
    data: bytes
    subject: str
    question: str
    wanted: str


def papers(seed: int, *, count: int = 10) -> list[Paper]:
    """The same seed, the same papers."""
    r = random.Random(seed)
    name = names(r)
    return [_paper(r, next(name), number) for number in range(count)]


def _paper(r: random.Random, subject: str, number: int) -> Paper:
    value = r.randint(120, 980)
    fact = f"The efficiency of the {subject} reached {value} units per hour, e.g. at full load."
    author = f"A. Miller, B. Novak et al.\nUniversity of Nowhere\nauthor{number}@example.org"
    parts = [
        ("1 Introduction", [f"The {subject} is a sorting machine for con-\nfidential letters [12].",
                            *r.sample(FILLER, 3), f"The {subject} was tried in {value + 7} runs.", *LEANING[:2]]),
        ("2 Methods", [*r.sample(FILLER, 4), LEANING[2], "We measured the efﬁciency of the ﬂow twice [3, 4]."]),
        ("3 Results", [r.choice(FILLER), fact, *LEANING[3:], *r.sample(FILLER, 2)]),
        ("4 Conclusion", r.sample(FILLER, 3)),
    ]  # fmt: skip
    story = [
        ("Title", f"On the {subject}: a study"),
        ("Normal", author),
        ("Normal", f"Keywords: {subject}, sorting, study"),
    ]
    story.append(("Normal", "Contents<br/>1 Introduction ........ 1<br/>2 Methods ........ 2<br/>3 Results ........ 3"))
    for heading, sentences in parts:
        story += [("Heading2", heading), ("BodyText", " ".join(sentences))]
        story.append(("Normal", f"Figure {r.randint(1, 9)}: The {subject} seen from the left during a run."))
        story.append(("BodyText", " ".join(r.sample(FILLER, 5) * 3)))
    story.append(("Heading2", "References"))
    story += [
        (
            "Normal",
            f"[{n}] A. Miller and B. Novak. A note on the {subject}. In Proc. of Sorting, pp. 1-9, 2019. doi:10.1/{n}",
        )
        for n in range(1, 9)
    ]
    head = f"Journal of Sorting Machines, Vol. {number + 3}"
    question = f"Which efficiency did the {subject} reach?"
    return Paper(
        f"paper-{number}.pdf", _two_columns(story, head=head, title=f"On the {subject}"), subject,
        question, f"{value} units per hour",
    )  # fmt: skip


def _two_columns(story: list[tuple[str, str]], *, head: str, title: str) -> bytes:
    out = io.BytesIO()
    width, height = A4
    frames = [Frame(x, 50, width / 2 - 60, height - 110) for x in (40, width / 2 + 10)]

    def furniture(canvas, document) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(40, height - 35, head)
        canvas.drawString(40, 30, "© The authors. All rights reserved.")
        canvas.drawRightString(width - 40, 30, f"Page {document.page} of 3")

    template = PageTemplate(frames=frames, onPage=furniture)
    document = BaseDocTemplate(out, pagesize=A4, pageTemplates=[template], title=title, invariant=1)
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    styles = getSampleStyleSheet()
    for style in ("BodyText", "Normal"):
        styles[style].fontName = "Vera"
    flow = []
    for style, text in story:
        flow += [Paragraph(text.replace("\n", "<br/>"), styles[style]), Spacer(1, 4)]
    document.build(flow)
    return out.getvalue()
