"""Passages: each exactly a span of the stored text, of a useful size, within one section and never cut in a word."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.memory.blocks import Block, Document, assemble, clean
from services.memory.passages import TARGET, TINY, cut, sentences

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40)
TEXTS = st.lists(WORDS, min_size=1, max_size=120).map(" ".join)
KINDS = st.sampled_from(["text", "heading", "lines", "code"])
BLOCKS = st.lists(st.builds(Block, TEXTS.map(clean), KINDS, st.none() | st.integers(1, 5)), max_size=12)
SENTENCE = "A queue keeps the messages that nobody has taken yet. "


def _document(*blocks: Block) -> Document:
    return assemble("t", blocks)


@settings(max_examples=80, deadline=None)
@given(BLOCKS)
def test_every_passage_lies_in_the_text_in_order_and_without_overlap(blocks: list[Block]) -> None:
    document = _document(*blocks)
    end = 0
    for piece in cut(document):
        assert end <= piece.start < piece.end <= len(document.text)
        text = document.text[piece.start : piece.end]
        assert text.strip()
        assert piece.end - piece.start <= TARGET + TINY
        end = piece.end


@settings(max_examples=80, deadline=None)
@given(BLOCKS)
def test_no_word_is_cut_and_no_word_of_a_paragraph_is_lost(blocks: list[Block]) -> None:
    document = _document(*blocks)
    text, cuts = document.text, cut(document)
    for piece in cuts:
        assert (
            piece.start == 0
            or text[piece.start - 1].isspace()
            or text[piece.start].isspace()
            or _after(text, piece.start)
        )
        assert piece.end == len(text) or text[piece.end].isspace() or _after(text, piece.end)
    covered = "".join("".join(text[piece.start : piece.end].split()) for piece in cuts)
    headings = document.headings if any(block.kind != "heading" and block.text.strip() for block in blocks) else ()
    body, at = "", 0
    for mark in headings:
        body, at = body + text[at : mark.start], mark.end
    assert covered == "".join((body + text[at:]).split())


def _after(text: str, at: int) -> bool:
    """Languages that end sentences without a space."""
    return text[at - 1] in "。！？"


def test_long_text_is_cut_at_sentence_ends() -> None:
    document = _document(Block(SENTENCE * 100))
    cuts = cut(document)
    assert len(cuts) > 5
    assert all(document.text[piece.end - 1] == "." for piece in cuts)
    assert all(TARGET * 0.8 < piece.end - piece.start <= TARGET for piece in cuts[:-1])


def test_a_passage_ends_with_its_paragraph_when_the_next_does_not_fit() -> None:
    document = _document(Block(SENTENCE * 10), Block(SENTENCE * 10))
    first, second = cut(document)
    assert document.text[first.end : second.start].strip() == ""
    assert second.end - second.start == len((SENTENCE * 10).strip())


def test_a_passage_knows_its_heading_and_does_not_hold_it() -> None:
    document = _document(
        Block("Leases", "heading"), Block("A lease ends."), Block("Fences", "heading"), Block("It counts.")
    )
    assert [(document.text[p.start : p.end], p.heading) for p in cut(document)] == [
        ("A lease ends.", "Leases"),
        ("It counts.", "Fences"),
    ]


def test_a_sentence_over_a_page_break_belongs_to_its_first_page_and_the_passage_ends_with_it() -> None:
    document = _document(
        Block("The limit is counted for each", page=1), Block("consumer. The next one starts.", page=2, joins=True)
    )
    assert [(document.text[p.start : p.end], p.page) for p in cut(document)] == [
        ("The limit is counted for each consumer.", 1),
        ("The next one starts.", 2),
    ]


def test_a_document_of_headings_alone_still_has_passages() -> None:
    assert len(cut(_document(Block("One", "heading"), Block("Two", "heading")))) == 1


def test_abbreviations_end_no_sentence() -> None:
    text = "As Smith et al. Showed in Fig. 3 it holds. That is all."
    assert [text[a:b] for a, b in sentences(text)] == ["As Smith et al. Showed in Fig. 3 it holds.", "That is all."]


def test_rows_and_code_are_cut_at_line_ends() -> None:
    rows = "\n".join(f"| row {n} | the value of row number {n} |" for n in range(60))
    document = _document(Block(rows, "lines"))
    assert all(document.text[piece.end - 1] == "|" for piece in cut(document))
