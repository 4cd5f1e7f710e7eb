"""What a call cost: by the table, the first row that fits; unknown is never nothing."""

from pathlib import Path

import pytest

from services.inference.prices import Price, cost, read_prices
from services.inference.settings import Settings
from shared.errors import WarrenError

TABLE = (Price("openai/dear", 3.0, 15.0), Price("openai/*", 1.0, 2.0), Price("ollama/*", 0.0, 0.0))


def test_tokens_read_and_written_have_their_own_price() -> None:
    assert cost(TABLE, "openai/dear", tokens_in=1_000_000, tokens_out=100_000) == 4.5
    assert cost(TABLE, "openai/other", tokens_in=500_000, tokens_out=0) == 0.5
    assert cost(TABLE, "ollama/x", tokens_in=9, tokens_out=9) == 0.0


def test_what_is_not_in_the_table_is_unknown() -> None:
    assert cost(TABLE, "elsewhere/x", tokens_in=1, tokens_out=1) is None
    assert cost((), "ollama/x", tokens_in=1, tokens_out=1) is None


def test_the_shipped_table_is_read_and_prices_nobody_elses_models() -> None:
    prices = read_prices(Settings().prices)
    assert cost(prices, "ollama/gemma3:4b", tokens_in=10, tokens_out=10) == 0.0
    assert cost(prices, "openai/anything", tokens_in=10, tokens_out=10) is None


@pytest.mark.parametrize(
    "text", ["[[price]]\nmodel = 'x'", "nonsense", "[[price]]\nmodel='x'\nread=-1\nwritten=1", "price = 3"]
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str) -> None:
    table = tmp_path / "prices.toml"
    table.write_text(text)
    with pytest.raises(WarrenError, match=r"WARREN_PRICES .*prices\.toml"):
        read_prices(table)
