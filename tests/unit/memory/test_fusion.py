"""Words decide where they explain the query, vectors where they do not."""

import math
from pathlib import Path

from services.memory.fusion import MEANING, fused
from services.memory.index import SearchIndex
from services.memory.passages import Cut
from services.memory.store import StoredText

NEAR = [("meant", 0.7), ("other", 0.5), ("last", 0.2)]


def test_a_passage_that_has_the_query_s_words_stays_above_the_nearest_by_meaning() -> None:
    ranked = fused([("said", 8.0), ("other", 3.0)], NEAR, most=10.0)
    assert [key for key, _ in ranked][:2] == ["said", "other"]


def test_where_words_explain_little_the_nearest_by_meaning_comes_first() -> None:
    """The same order of words: reciprocal ranks could not tell this query from the one above."""
    ranked = fused([("said", 1.6), ("other", 0.6)], NEAR, most=10.0)
    assert ranked[0][0] == "meant"


def test_a_share_of_the_words_as_large_as_the_weight_of_meaning_is_the_balance() -> None:
    just_more, just_less = MEANING * 10 + 0.1, MEANING * 10 - 0.1
    assert fused([("said", just_more)], NEAR, most=10.0)[0][0] == "said"
    assert fused([("said", just_less)], NEAR, most=10.0)[0][0] == "meant"


def test_among_equal_words_meaning_decides() -> None:
    assert [k for k, _ in fused([("last", 5.0), ("meant", 5.0)], NEAR, most=10.0)] == ["meant", "last", "other"]


def test_a_model_whose_cosines_all_lie_close_together_counts_like_any_other() -> None:
    close = [(key, 0.9 + cosine / 100) for key, cosine in NEAR]
    words = [("other", 3.0), ("last", 2.0)]
    assert fused(words, close, most=10.0) == fused(words, NEAR, most=10.0)


def test_one_ranking_alone_keeps_its_order() -> None:
    assert [k for k, _ in fused([("b", 2.0), ("a", 1.0)], [], most=4.0)] == ["b", "a"]
    assert [k for k, _ in fused([], NEAR, most=0.0)] == ["meant", "other", "last"]
    assert fused([], [("only", 0.3)], most=0.0) == [("only", MEANING)]


def test_no_passage_reaches_the_most_that_bm25_can_give(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path / "index.db")
    index.watermark("l")
    texts = {
        "a": "lease " * 200,
        "b": "The lease of a worker.",
        "c": "queue",
        **{f"x{n}": f"word{n}" for n in range(9)},
    }
    index.put_texts(
        list(texts),
        [StoredText(key, "lease", text, (Cut(0, len(text), None, "lease"),)) for key, text in texts.items()],
    )
    index.put_members("c", [(key, key) for key in texts])
    for query in ("lease", "worker", "queue word3", "lease worker of nothing"):
        found = index.search(query, corpora=["c"], limit=5)
        assert 0 < found[0].score < index.most(query)
    # a term that stands nowhere counts as the rarest there can be
    assert index.most("nowhere") == 2.2 * math.log((12 + 0.5) / 0.5)
    assert index.most("worker nowhere") > index.most("worker") + index.most("nowhere") - 1e-9
    assert index.most("?!") == 0
    index.close()
