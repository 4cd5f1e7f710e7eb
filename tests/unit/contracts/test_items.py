"""Values that reference documents state of a term: found with it in each way of writing, and in no prose."""

import pytest

from shared.contracts.evidence import supports
from shared.contracts.items import item_span, items, says_item

WRITTEN = {
    "heading": (
        "fan_speed\n\nHow fast the fan turns. More is louder.\n\nDefault: 900 rpm",
        "fan_speed - Default: 900 rpm",
    ),
    "facets": ("fan_speed\n\nType: integer Default: 900 Since: 2.1", "fan_speed - Default: 900"),
    "option": ("- --fan RPM: how fast it turns (default 900).", "--fan RPM - Default 900"),
    "term": ("- fan: turns per minute. Defaults to 900.", "fan - Defaults to 900"),
    "signature": ("fan_speed : int, default 900\nHow fast the fan turns.", "fan_speed - Default 900"),
    "field": (":fan: how fast it turns; default 900", "fan - Default 900"),
    "manual": ("OPTIONS\n--fan RPM\nTurn this fast. Default: 900.", "--fan RPM - Default: 900"),
    "switch": ("--quiet\nSay less. Off by default.", "--quiet - Off by default"),
    "sentence": (
        "fan_speed (integer)\n\nHow fast it turns. The default is 900.",
        "fan_speed (integer) - The default is 900",
    ),
    "limits": ("fan_speed\n\nMinimum: 100, Maximum: 3000", "fan_speed - Maximum: 3000"),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_value_is_stated_of_its_term_and_both_are_quoted(way: str) -> None:
    text, wanted = WRITTEN[way]
    span = item_span(wanted, f"Something before it.\n\n{text}\n\nSomething after it.")
    assert span is not None, [item.text for item in items(text)]
    quote = f"Something before it.\n\n{text}\n\nSomething after it."[slice(*span)]
    assert quote in text
    assert supports(wanted, [quote]).holds


@pytest.mark.parametrize("way", WRITTEN)
def test_another_value_or_another_term_is_refused(way: str) -> None:
    text, wanted = WRITTEN[way]
    term, _, value = wanted.partition(" - ")
    turned = [
        f"pump_rate - {value}",
        f"{term} - {value.replace('900', '800').replace('3000', '30').replace('Off', 'On')}",
    ]
    for claim in turned:
        assert not says_item(claim, [text])
        assert not supports(claim, [text]).holds, claim


@pytest.mark.parametrize(
    "prose",
    [
        "The default was a mistake, and nobody knows the range of it.",
        "A country in default is not a country without money. The limit of what it can pay is known.",
        "Fan speed\n\nWhat is the default?",
        "900 rpm is common.\n\nDefault: 900",
        "",
    ],
)
def test_prose_states_no_values(prose: str) -> None:
    assert not [item for item in items(prose) if item.term[:1].islower()]


def test_a_value_too_far_from_its_term_is_left_out() -> None:
    assert not items("fan_speed\n\n" + "It turns and turns. " * 60 + "\n\nDefault: 900")


def test_long_hostile_texts_are_read_once() -> None:
    assert len(items("a_b\n\nDefault: 1\n\n" * 5000)) == 5000
    assert items("default " * 20_000 + "default: " * 5_000) is not None
    assert items("-" * 50_000 + ": default " + "x" * 50_000) is not None
