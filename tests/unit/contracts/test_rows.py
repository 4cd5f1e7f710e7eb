"""Rows of tables as statements: only what a header and a row say together, word for word."""

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.evidence import supports
from shared.contracts.rows import cells, row_spans, says_row, stated

HEADER = "| Question | RabbitMQ queue | Kafka topic |"
REPLAY = "| Replay | no (streams: yes) | yes |"
TEXT = f"# Kinds\n\n{HEADER}\n| Order | per queue | per partition |\n{REPLAY}\n\nText after it.\n"


def test_a_row_says_its_columns() -> None:
    assert cells(REPLAY) == ("Replay", "no (streams: yes)", "yes")
    assert stated(HEADER, REPLAY) == "Replay - RabbitMQ queue: no (streams: yes); Kafka topic: yes"
    assert stated(HEADER, REPLAY, columns=[2]) == "Replay - Kafka topic: yes"
    assert stated(HEADER, "| Replay | no |") is None, "the columns do not fit"
    assert stated(HEADER, "| Replay | | yes |") == "Replay - Kafka topic: yes", "an empty cell says nothing"


def test_what_a_row_says_is_supported_by_header_and_row_and_nothing_else_is() -> None:
    quotes = [HEADER, REPLAY]
    assert supports("Replay - RabbitMQ queue: no (streams: yes); Kafka topic: yes", quotes).holds
    assert supports("Replay - Kafka topic: yes", quotes).holds
    for turned in ("Replay - RabbitMQ queue: yes; Kafka topic: no (streams: yes)", "Replay - RabbitMQ queue: yes",
                   "Order - Kafka topic: yes"):  # fmt: skip
        assert not says_row(turned, quotes)
        assert not supports(turned, quotes).holds
    assert not supports("Replay - Kafka topic: yes", [REPLAY]).holds, "without its header a cell says nothing"


def test_where_header_and_row_stand() -> None:
    found = row_spans("Replay - Kafka topic: yes", TEXT)
    assert found is not None
    assert [TEXT[slice(*span)] for span in found] == [HEADER, REPLAY]
    assert row_spans("Replay - Kafka topic: no", TEXT) is None
    assert row_spans("Text after it.", TEXT) is None


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_survived(claim: str, header: str, row: str) -> None:
    says_row(f"{claim} - x", [header, row])
    row_spans(f"{claim} - x", f"| {header} |\n| {row} |")
