"""The table of a comparison: every cell a claim that stood, or nothing."""

from services.writer.gate import Archive, Claim
from services.writer.markdown import written
from services.writer.page import Page
from services.writer.section import Section
from services.writer.table import table
from shared.contracts.evidence import Evidence, evidence_id

SHA = "a" * 64


def evidence(*quotes: str) -> dict[str, Evidence]:
    found = {}
    for n, quote in enumerate(quotes):
        start = 1000 * n
        name = evidence_id(SHA, start, start + len(quote))
        found[name] = Evidence(
            evidence_id=name, source="pumps.md", sha256=SHA, start=start, end=start + len(quote), quote=quote
        )
    return found


QUOTES = evidence(
    "| Property | Red pump | Blue pump |", "| Noise | 40 dB | 55 dB |", "The red pump needs oil.",
    "Both the red pump and the blue pump stop at once.", "The blue pump is cheap | simple.",
)  # fmt: skip
HEADER, NOISE, OIL, BOTH, CHEAP = QUOTES
ARCHIVE = Archive(QUOTES)
GOAL = "How do the red pump and the blue pump differ in noise, upkeep and stopping?"


def section(aspect: str, *claims: Claim) -> Section:
    return Section(f"How do red pump and blue pump differ in {aspect}?", claims)


def test_a_row_of_the_source_s_own_table_fills_the_cells() -> None:
    noise = section("noise", Claim("Noise - Red pump: 40 dB; Blue pump: 55 dB", (HEADER, NOISE)))
    made = table(GOAL, [noise], ARCHIVE)
    assert made is not None
    assert made.subjects == ("red pump", "blue pump")
    assert [cell and cell.text for cell in made.rows[0].cells] == [
        "Noise - Red pump: 40 dB",
        "Noise - Blue pump: 55 dB",
    ]


def test_a_claim_about_one_subject_fills_its_cell_and_the_other_is_not_stated() -> None:
    made = table(GOAL, [section("upkeep", Claim("The red pump needs oil.", (OIL,)))], ARCHIVE)
    assert made is not None
    page = Page(GOAL, table=made, summary=(Claim("The red pump needs oil.", (OIL,)),))
    assert "| upkeep | The red pump needs oil. [1] | not stated |" in written(page, QUOTES).report


def test_a_claim_about_both_stands_in_both_cells() -> None:
    text = "Both the red pump and the blue pump stop at once."
    made = table(GOAL, [section("stopping", Claim(text, (BOTH,)))], ARCHIVE)
    assert made is not None
    assert [cell and cell.text for cell in made.rows[0].cells] == [text, text]


def test_a_bar_in_a_quote_ends_no_cell() -> None:
    made = table(GOAL, [section("upkeep", Claim("The blue pump is cheap | simple.", (CHEAP,)))], ARCHIVE)
    assert made is not None
    assert "cheap \\| simple. [1]" in written(Page(GOAL, table=made, summary=made.rows[0].cells[1:]), QUOTES).report  # type: ignore[arg-type]


def test_no_comparison_and_nothing_to_fill_give_no_table() -> None:
    claim = Claim("The red pump needs oil.", (OIL,))
    assert table("What is the red pump?", [Section("What is the red pump?", (claim,))], ARCHIVE) is None
    assert table(GOAL, [section("noise")], ARCHIVE) is None
