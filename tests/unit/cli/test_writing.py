"""`warren watch --tokens`: texts of calls that run at once, printed one after another."""

from hypothesis import given
from hypothesis import strategies as st

from services.cli.writing import SILENT_S, OneAtATime
from shared.contracts.generation import CallKey
from shared.runtime.goal_tokens import GoalPiece, Over
from shared.runtime.tokens import Restarted, Text

ONE, TWO, THREE = (CallKey(goal_id="g1", step=step, purpose="research") for step in ("a", "b", "c"))
HEADS = {key: f"\n-- {key.step}: research\n" for key in (ONE, TWO, THREE)}


def printed(*pieces: tuple[GoalPiece, float]) -> str:
    order = OneAtATime()
    return "".join(order.add(piece, now=at) for piece, at in pieces) + order.rest()


def test_a_call_is_shown_whole_before_the_next_one() -> None:
    assert (
        printed(
            ((ONE, Text("Queues ")), 0),
            ((TWO, Text("A retry ")), 1),
            ((ONE, Text("hold.")), 2),
            ((TWO, Text("waits.")), 3),
            ((ONE, Over()), 4),
            ((TWO, Over()), 5),
        )
        == HEADS[ONE] + "Queues hold.\n" + HEADS[TWO] + "A retry waits.\n"
    )


def test_a_call_that_has_fallen_silent_makes_room() -> None:
    pieces: list[tuple[GoalPiece, float]] = [((ONE, Text("Queues ")), 0), ((TWO, Text("A retry ")), SILENT_S + 1)]
    assert printed(*pieces) == HEADS[ONE] + "Queues " + HEADS[TWO] + "A retry "


def test_what_is_void_is_said_of_the_call_that_is_shown_and_forgotten_of_others() -> None:
    assert (
        printed(
            ((ONE, Text("Que")), 0),
            ((TWO, Text("A re")), 0),
            ((TWO, Restarted(2)), 1),
            ((ONE, Restarted(2)), 1),
            ((ONE, Text("Queues")), 2),
            ((TWO, Text("A retry")), 2),
            ((ONE, Over()), 3),
        )
        == HEADS[ONE] + "Que\n(restarted)\nQueues\n" + HEADS[TWO] + "A retry"
    )


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE]), st.floats(0, 4)), max_size=40))
def test_every_text_is_printed_in_its_order_whoever_speaks_when(turns: list[tuple[CallKey, float]]) -> None:
    pieces: list[tuple[GoalPiece, float]] = []
    now = 0.0
    for number, (key, pause) in enumerate(turns):
        now += pause
        pieces.append(((key, Text(f"<{key.step}{number}>")), now))
    text = printed(*pieces)
    for key in (ONE, TWO, THREE):
        said = [f"<{key.step}{number}>" for number, (who, _) in enumerate(turns) if who == key]
        places = [text.index(each) for each in said]
        assert places == sorted(places)
        assert all(text.count(each) == 1 for each in said)
