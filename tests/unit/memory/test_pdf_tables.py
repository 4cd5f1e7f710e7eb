"""Tables of PDFs: found where they are, with their rows, and nowhere else."""

import io
import random

import pytest
from reportlab.lib import colors
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table, TableStyle

from services.memory.extract import extract
from services.memory.pdf_tables import MAX_PIECES, Piece, page_text

STYLES = getSampleStyleSheet()
ROWS = (
    ("Setting", "Default", "Meaning"),
    ("pump_rate", "40 l/min", "how much it moves"),
    ("max_heat", "85 °C", "where it stops by itself"),
)
BEFORE = "The settings of the pump are read when it starts, and can be changed while it runs."


def pieces(*drawn: tuple[float, float, str], height: float = 10.0) -> list[Piece]:
    return [Piece(x, y, height, f"{text}\n") for x, y, text in drawn]


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def page(*flow: object) -> str:
    out = io.BytesIO()
    SimpleDocTemplate(out, invariant=1).build([*flow])
    return extract(out.getvalue(), kind="pdf", name="pump.pdf").text


def words(text: str) -> Paragraph:
    return Paragraph(text, STYLES["BodyText"])


RULED = TableStyle([("GRID", (0, 0), (-1, -1), 1, colors.black)])
NUMERIC = TableStyle([("ALIGN", (1, 0), (1, -1), "RIGHT")])


@pytest.mark.parametrize("style", [TableStyle(), RULED, NUMERIC], ids=["plain", "ruled", "right"])
def test_the_rows_of_a_table_are_stored_as_rows(style: TableStyle) -> None:
    text = page(words(BEFORE), Table([list(row) for row in ROWS], style=style), words("It is kept dry."))
    assert rows_of(text) == [f"| {' | '.join(row)} |" for row in ROWS]
    assert BEFORE in text
    assert text.endswith("It is kept dry.")


def test_a_cell_may_have_several_lines() -> None:
    long = "how often it is tried again before the pump gives up and says so on the panel beside the door"
    cells = [[words(cell) for cell in row] for row in (*ROWS, ("tries", "3", long))]
    text = page(words(BEFORE), Table(cells, colWidths=(80, 80, 120), style=RULED))
    assert rows_of(text)[-1] == f"| tries | 3 | {long} |"
    assert len(rows_of(text)) == 4


def test_what_stands_right_above_a_table_in_its_first_column_is_no_cell_of_it() -> None:
    drawn = pieces((50, 700, "Limits of the pump"), *((50 + 90 * n, 686, cell) for n, cell in enumerate(ROWS[0])),
                   *((50 + 90 * n, 672, cell) for n, cell in enumerate(ROWS[1])))  # fmt: skip
    assert page_text(
        drawn
    ).split() == "Limits of the pump | Setting | Default | Meaning | | pump_rate | 40 l/min |".split() + (
        "how much it moves |".split()
    )


def test_two_columns_drawn_one_after_the_other_are_no_table() -> None:
    left = [(40, 700 - 12 * n, f"left line {n}") for n in range(20)]
    right = [(300, 700 - 12 * n, f"right line {n}") for n in range(20)]
    assert not rows_of(page_text(pieces(*left, *right)))


def test_two_columns_drawn_line_by_line_are_no_table() -> None:
    sentence = "a line of prose that is as long as a column of a page is wide"
    drawn = [(x, 700 - 12 * n, f"{sentence} {n}") for n in range(20) for x in (40, 340)]
    assert not rows_of(page_text(pieces(*drawn)))


def test_a_list_of_contents_and_a_list_are_no_tables() -> None:
    contents = [
        (x, 700 - 12 * n, t) for n in range(9) for x, t in ((40, f"{n} Part"), (90, ". . . . . . ."), (400, "7"))
    ]
    listed = [(x, 500 - 12 * n, t) for n in range(9) for x, t in ((40, "•"), (60, "thing"), (200, "is here"))]
    assert not rows_of(page_text(pieces(*contents, *listed)))


def test_words_in_other_letters_within_a_line_are_no_cells() -> None:
    """Code among prose: pypdf gives each change of letters as a piece of its own."""
    drawn = [
        Piece(x, 700 - 12 * n, 10, text)
        for n in range(6)
        for x, text in (
            (40, f"Call the {'very ' * n}"),
            (40 + 9 * 5 + 25 * n, "start()"),
            (84 + 36 + 25 * n, " function."),
        )
    ]
    assert not rows_of(page_text(drawn))


def test_whatever_is_drawn_no_letter_is_lost() -> None:
    r = random.Random(7)
    for _ in range(200):
        drawn = pieces(
            *((r.choice((40, 90, 91.5, 200)), r.choice((700, 688, 676, 100)), r.choice("ab7")) for _ in range(30))
        )
        kept = [c for c in page_text(drawn) if c in "ab7"]
        assert kept == [c for piece in drawn for c in piece.text if c in "ab7"]


def test_a_page_of_too_many_pieces_is_read_without_tables() -> None:
    drawn = pieces(*((40.0 + 90 * (n % 3), 700.0 - n // 3, "x") for n in range(MAX_PIECES + 1)))
    assert page_text(drawn) == "x\n" * (MAX_PIECES + 1)


def test_a_page_of_many_pieces_takes_no_longer_than_its_length_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each piece is looked at a bounded number of times."""
    looks = 0

    class Counted(float):
        def __sub__(self, other: float) -> float:
            nonlocal looks
            looks += 1
            return float(self) - float(other)

    drawn = [Piece(40.0 + 90 * (n % 3), Counted(9000 - n // 3), 10, "x\n") for n in range(6000)]
    page_text(drawn)
    assert looks < 10 * len(drawn)
