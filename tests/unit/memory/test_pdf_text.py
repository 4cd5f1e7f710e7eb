"""Lines of PDF pages -> paragraphs."""

from services.memory.blocks import assemble
from services.memory.pdf_text import read_pages

LINE = "The broker keeps every message until a consumer has acknowledged it, and"


def _text(*pages: str, outline: tuple[str, ...] = ()) -> str:
    return assemble("t", read_pages(pages, outline=outline)).text


def test_hyphens_at_line_ends_go_when_the_word_goes_on() -> None:
    assert _text("It is redeli-\nvered to another con-\nsumer. RabbitMQ-\nBased systems do.") == (
        "It is redelivered to another consumer. RabbitMQ-Based systems do."
    )


def test_running_heads_and_page_numbers_are_gone() -> None:
    pages = [
        f"Journal of Queues\n{LINE} {word}.\n{n}" for n, word in enumerate(("one", "two", "three", "four"), start=7)
    ]
    text = _text(*pages)
    assert "Journal" not in text
    assert not any(character.isdigit() for character in text)


def test_a_foot_with_the_page_number_in_it_goes_from_two_pages_on_and_the_title_stays() -> None:
    text = _text(f"On Queues\n{LINE} one.\nOn Queues 1", f"{LINE} two.\nOn Queues 2", outline=("On Queues",))
    assert text.count("On Queues") == 1


def test_a_sentence_goes_on_over_the_page_break() -> None:
    document = assemble("t", read_pages(["The first half of a sen-", "tence ends here."]))
    assert document.text == "The first half of a sentence ends here."
    joined = assemble("t", read_pages(["The first half of", "a sentence."]))
    assert joined.text == "The first half of a sentence."
    assert [mark.number for mark in joined.pages] == [1, 2]


def test_headings_are_known_by_outline_number_and_name() -> None:
    blocks = read_pages([f"Abstract\n{LINE} so on.\n2.1 Leases and Fences\n{LINE} on.\nWhat Follows\n{LINE} end."],
                        outline=("What Follows",))  # fmt: skip
    assert [block.text for block in blocks if block.kind == "heading"] == [
        "Abstract", "2.1 Leases and Fences", "What Follows",
    ]  # fmt: skip
