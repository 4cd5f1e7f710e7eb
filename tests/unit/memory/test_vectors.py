"""Vectors as they are stored, sifted by their signs, and compared."""

import random

from services.memory.embedder import passage_texts
from services.memory.passages import Cut
from services.memory.store import StoredText
from services.memory.vectors import Sketch, cosine, drawn, likely, nearest, packed, signs, sketch, unpacked


def test_a_vector_is_stored_in_four_bytes_a_number() -> None:
    vector = [0.6, -0.8, 0.0]
    assert packed([1.0]) == b"\x00\x00\x80\x3f"
    assert len(packed(vector)) == 12
    assert abs(cosine(unpacked(packed(vector)), vector) - 1) < 1e-6


def test_the_nearest_come_first_with_their_cosines_and_equal_ones_in_the_order_given() -> None:
    vectors = [("far", [0.0, 1.0]), ("a", [1.0, 0.0]), ("b", [1.0, 0.0]), ("near", [0.8, 0.6])]
    assert nearest([1.0, 0.0], vectors, limit=3) == [("a", 1.0), ("b", 1.0), ("near", 0.8)]


def test_a_vector_of_another_dimension_is_never_compared() -> None:
    assert [key for key, _ in nearest([1.0, 0.0], [("other", [1.0, 0.0, 0.0]), ("own", [0.0, 1.0])], limit=5)] == [
        "own"
    ]
    wide, own = sketch(drawn([[1.0] * 9]), 1), sketch(drawn([[0.0, 1.0]]), 1)
    assert likely([1.0, 0.0], [("other", wide), ("own", own)], limit=5) == [("own", 0)]


def test_a_sketch_is_a_bit_for_each_number_and_comes_back_as_it_was() -> None:
    vectors = [[0.1, -0.2, 0.3] * 3, [-0.1] * 9, [], [0.5] * 9]
    blob = drawn(vectors)
    assert len(blob) == 4 * 2
    assert sketch(blob, 4) == Sketch(2, [0b101101101, 0, 0, 0b111111111])
    assert signs(vectors[0]) == 0b101101101
    assert (drawn([]), sketch(b"", 0), sketch(drawn([[], []]), 2)) == (b"", Sketch(0, []), Sketch(0, [0, 0]))


def test_the_passages_with_the_likeliest_signs_are_named_by_text_and_position() -> None:
    texts = [("a", sketch(drawn([[1.0, 1.0], [-1.0, -1.0]]), 2)), ("b", sketch(drawn([[1.0, -1.0], [1.0, 1.0]]), 2))]
    assert likely([1.0, 1.0], texts, limit=2) == [("a", 0), ("b", 1)]
    assert likely([1.0, 1.0], texts, limit=3) == [("a", 0), ("b", 0), ("b", 1)]
    assert likely([1.0, 1.0], [], limit=3) == []


def test_sifting_by_signs_keeps_what_is_nearest() -> None:
    """Of 2,000 vectors in clusters, the nearest twenty are among the likeliest tenth (all but a few)."""
    r = random.Random(5)
    centres = [[r.gauss(0, 1) for _ in range(128)] for _ in range(40)]
    vectors = [_unit([x + r.gauss(0, 0.7) for x in centres[n % 40]]) for n in range(2000)]
    one = sketch(drawn(vectors), len(vectors))
    kept = 0
    for _ in range(10):
        query = _unit([x + r.gauss(0, 0.7) for x in r.choice(centres)])
        best = {key for key, _ in nearest(query, enumerate(vectors), limit=20)}
        kept += len(best & {position for _, position in likely(query, [("t", one)], limit=200)})
    assert kept >= 190


def _unit(vector: list[float]) -> list[float]:
    length = cosine(vector, vector) ** 0.5
    return [x / length for x in vector]


def test_a_passage_is_embedded_with_where_it_stands() -> None:
    stored = StoredText("0" * 64, "Queues", "One. Two.", (Cut(0, 4, None, "Leases"), Cut(5, 9, None, None)))
    assert passage_texts(stored) == ["Queues\nLeases\nOne.", "Queues\nTwo."]
