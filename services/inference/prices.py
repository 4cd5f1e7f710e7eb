"""What a call cost, by a table of prices. Pure but for reading the table."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ConfigurationError

MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens. `model`: `provider/name`; at its end a `*` stands for anything."""

    model: str
    read: float
    written: float

    def fits(self, engine: str) -> bool:
        return engine.startswith(self.model[:-1]) if self.model.endswith("*") else engine == self.model


def read_prices(path: Path) -> tuple[Price, ...]:
    """The table, in its order. Raises ConfigurationError that names the file and what is wrong in it."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("price", [])
        prices = tuple(Price(str(row["model"]), float(row["read"]), float(row["written"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"WARREN_PRICES {path}: {type(error).__name__}: {error}") from error
    if negative := next((price for price in prices if price.read < 0 or price.written < 0), None):
        raise ConfigurationError(f"WARREN_PRICES {path}: {negative.model} has a negative price")
    return prices


def cost(prices: Sequence[Price], engine: str, *, tokens_in: int, tokens_out: int) -> float | None:
    """US dollars; None when the table has no price for it. The first row that fits counts."""
    price = next((price for price in prices if price.fits(engine)), None)
    if price is None:
        return None
    return (tokens_in * price.read + tokens_out * price.written) / MILLION
