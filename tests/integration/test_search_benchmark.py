"""The benchmark of search judges as it says, and its measure of a large library runs on memory's own parts."""

from typing import Any

from benchmarks.search import missed
from benchmarks.search_scale import measure_scale

GOOD = {"words": {"@10": 0.5, "mrr": 0.40}, "both": {"@10": 0.6, "mrr": 0.39}}


def rows(**more: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Three corpora in two wordings, all good but those named: a, b or c -> what is so when it is paraphrased."""
    return [
        {"corpus": corpus, "wording": wording, **(more.get(corpus, GOOD) if wording == "paraphrased" else GOOD)}
        for corpus in ("a", "b", "c")
        for wording in ("asked", "paraphrased")
    ]


def test_a_corpus_that_loses_by_vectors_or_gains_nothing_fails_it() -> None:
    assert missed(rows()) == []
    found = {
        "recall@10 0.400, by words": {"@10": 0.4, "mrr": 0.40},
        "MRR 0.370, by words": {"@10": 0.6, "mrr": 0.37},
        "no higher than by words": {"@10": 0.5, "mrr": 0.40},
    }
    for said, both in found.items():
        problems = missed(rows(b={**GOOD, "both": both}))
        assert len(problems) == 1
        assert problems[0].startswith("b, paraphrased: ")
        assert said in problems[0]


def test_where_words_find_everything_nothing_can_be_gained_and_few_corpora_show_nothing() -> None:
    whole = {"@10": 1.0, "mrr": 0.9}
    assert missed(rows(c={"words": whole, "both": whole})) == []
    assert missed(rows()[:4]) == ["fewer than 3 corpora"]


async def test_a_library_is_searched_by_words_and_vectors_and_timed() -> None:
    found = await measure_scale(600)
    assert found["passages"] == 600
    assert 0 < found["words"]["p50"] <= found["words"]["slowest"]
    assert 0 < found["both"]["p50"] <= found["both"]["slowest"]
