"""Sentences of definition lists are stated with the term that they explain."""

from services.inference.extractive import answer
from shared.contracts.evidence import supports
from shared.contracts.generation import InputPassage, Inputs
from shared.contracts.terms import defined, says_term, term_span

LIST = """port (integer)

The TCP port that the server listens on. The default is 5432. It cannot be changed later.

log_file (string)

Where messages go. The default is none.

In a Unix system, many tasks run at night.
"""
ITEMS = (
    "A value has one of these classes:\n\n"
    "- REAL. The value is a number of 8 bytes.\n- BLOB. The value is stored as it is.\n"
)


def test_the_paragraph_under_a_term_is_about_it_and_what_follows_is_not() -> None:
    found = [(term.text, unit.text) for term, unit in defined(LIST)]
    assert ("port (integer)", "The default is 5432.") in found
    assert ("log_file (string)", "The default is none.") in found
    assert not any("Unix" in text for _, text in found)


def test_one_quote_holds_the_term_and_its_sentence() -> None:
    claim = "port (integer): The default is 5432."
    span = term_span(claim, LIST)
    assert span is not None
    quote = LIST[slice(*span)]
    assert quote.startswith("port (integer)")
    assert quote.endswith("5432.")
    assert supports(claim, [quote]).holds


def test_another_term_or_another_value_is_not_what_the_quote_says() -> None:
    span = term_span("port (integer): The default is 5432.", LIST)
    assert span is not None
    quote = LIST[slice(*span)]
    assert not supports("log_file (string): The default is 5432.", [quote]).holds
    assert not says_term("port (integer): The default is 5433.", [quote])


def test_an_item_that_opens_with_its_name_is_stated_with_it() -> None:
    claim = "REAL: The value is a number of 8 bytes."
    span = term_span(claim, ITEMS)
    assert span is not None
    assert supports(claim, [ITEMS[slice(*span)]]).holds


def test_a_default_is_answered_with_the_name_of_its_setting() -> None:
    passage = InputPassage(id="p1", text=LIST, title="Settings")
    said = answer(Inputs(question="What is the default of log_file?", passages=(passage,), limit=4))
    assert said.splitlines()[0] == "log_file (string): The default is none. [p1]"


def test_the_first_row_of_a_cut_table_names_no_columns() -> None:
    cut = "| columns | 32 | can be raised |\n| name length | 63 bytes | can be raised |\n"
    passage = InputPassage(id="p1", text=cut, title="Limits")
    assert "32: 63" not in answer(Inputs(question="How long may a name be?", passages=(passage,), limit=4))
