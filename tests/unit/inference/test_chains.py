"""Which engine follows which; what the result says of it."""

import pytest

from services.inference.chains import Chain, Routes, asked_of, failure, fell_back, why_not
from services.inference.generation import Choice
from services.inference.routing_file import parse_routing
from shared.contracts.generation import Generated
from shared.errors import ConfigurationError
from tests.unit.inference.requests import generate

ROUTES = Routes(
    {"plan": "ollama/large"},
    (
        Chain("ollama/*", ("openai/b", "ollama/c", "extractive")),
        Chain("ollama/a", ("openai/b",)),
        Chain("*", ("ollama/c",)),
    ),
)


def test_an_engine_is_followed_by_the_chain_of_the_first_that_was_tried() -> None:
    tried = (failure("ollama/x", "refused", "away"),)
    assert ROUTES.after("ollama/x") == "openai/b"
    assert ROUTES.after("openai/b", tried) == "ollama/c"
    tried = (*tried, failure("openai/b", "denied", "key"))
    assert ROUTES.after("ollama/c", tried) == "extractive"
    assert ROUTES.after("extractive", (*tried, failure("ollama/c", "broken", ""))) is None


def test_the_exact_chain_counts_then_the_one_with_the_longest_beginning() -> None:
    assert ROUTES.after("openai/z") == "ollama/c"
    assert ROUTES.after("ollama/a") == "openai/b"
    assert ROUTES.after("openai/b", (failure("ollama/a", "busy", ""),)) is None
    assert Routes().after("ollama/a") is None


def test_no_engine_is_asked_twice_although_the_table_was_changed_on_the_way() -> None:
    tried = (failure("ollama/a", "busy", ""),)
    assert Routes(chains=(Chain("ollama/*", ("ollama/a", "openai/b")),)).after("openai/b", tried) is None


def test_a_purpose_has_its_engine_where_the_request_names_none() -> None:
    plan = generate(engine="auto", purpose="plan")
    assert ROUTES.of(plan) == "ollama/large"
    assert ROUTES.of(plan.model_copy(update={"engine": "ollama/a"})) is None
    assert ROUTES.of(generate(engine="auto", purpose="section")) is None


def test_what_is_tried_has_the_name_that_the_tables_have() -> None:
    at, none = Choice("ollama", "ollama/q", "http://a", "q"), Choice("extractive", "extractive", reason="no model")
    assert asked_of("auto", route=None, configured="", choice=at) == "ollama/q"
    assert asked_of("auto", route=None, configured="ollama/z", choice=none) == "ollama/z"
    assert asked_of("auto", route="ollama/y", configured="ollama/z", choice=none) == "ollama/y"
    assert asked_of("ollama/x", route=None, configured="", choice=at) == "ollama/x"
    assert fell_back("auto", none)
    assert not fell_back("extractive", none)
    assert not fell_back("auto", Choice("extractive", "extractive"))


def test_a_result_says_what_was_tried_and_nothing_where_nothing_was() -> None:
    plain = Generated(call=generate().call, finish="stop", engine="ollama/a")
    assert "tried" not in plain.model_dump_json()
    tried = (failure("ollama/a", "refused", "x" * 900),)
    assert Generated.model_validate_json(plain.model_copy(update={"tried": tried}).model_dump_json()).tried == tried
    assert len(tried[0].reason) == 300
    assert str(why_not(tried)).startswith("ollama/a failed (refused): xxx")
    assert why_not(()) is None


def test_purposes_and_chains_are_read() -> None:
    text = '[purposes]\nplan = "openai/big"\n[[chains]]\nfor = "ollama/*"\nthen = ["openai/b", "extractive"]\n'
    assert parse_routing(text).routes == Routes(
        {"plan": "openai/big"}, (Chain("ollama/*", ("openai/b", "extractive")),)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[purposes]\nplam = "ollama/a"', "t.toml, line 2: purposes.plam: unknown field; known here: plan"),
        ('[purposes]\nplan = "gpt"', "t.toml, line 2: purposes.plan: must be ollama/MODEL"),
        ("purposes = 1", "t.toml, line 1: purposes: must be a table"),
        ("chains = 1", "t.toml, line 1: chains: must be a list of tables"),
        ('[[chains]]\nfor = "gpt"\nthen = ["ollama/a"]', "t.toml, line 2: chains.0.for: must be an engine"),
        ('[[chains]]\nfor = "a/b*c"\nthen = ["ollama/a"]', "t.toml, line 2: chains.0.for: must be an engine"),
        ('[[chains]]\nfor = "*"\nthen = []', "t.toml, line 3: chains.0.then: must be a list of 1 to 4 engines"),
        (
            '[[chains]]\nfor = "*"\nthen = ["ollama/1", "ollama/2", "ollama/3", "ollama/4", "ollama/5"]',
            "t.toml, line 3: chains.0.then: must be a list of 1 to 4 engines",
        ),
        ('[[chains]]\nfor = "*"\nthen = ["auto"]', "t.toml, line 3: chains.0.then: must be ollama/MODEL"),
        ('[[chains]]\nfor = "*"\nthen = ["ollama/*"]', "t.toml, line 3: chains.0.then: must be ollama/MODEL"),
        ('[[chains]]\nfor = "ollama/a"\nthen = ["ollama/a"]', "t.toml, line 3: chains.0.then: ollama/a would be asked"),
        ('[[chains]]\nfor = "*"\nthen = ["ollama/a", "ollama/a"]', "t.toml, line 3: chains.0.then: ollama/a would be"),
        ('[[chains]]\nfor = "*"\nthen = ["ollama/a"]\nmax = 1', "t.toml, line 4: chains.0.max: unknown field"),
        (
            '[[chains]]\nfor = "*"\nthen = ["ollama/a"]\n[[chains]]\nfor = "*"\nthen = ["ollama/b"]',
            "t.toml, line 5: chains.1.for: * is there twice",
        ),
    ],
)
def test_a_wrong_one_names_line_and_field(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse_routing(text, source="t.toml")
    assert str(wrong.value).startswith(said)
