from xml.etree import ElementTree

from tests.chaos.picture import picture
from tests.chaos.plan import Fault

SVG = "{http://www.w3.org/2000/svg}"


def test_each_fault_is_a_bar_as_long_as_its_recovery_in_the_lane_of_its_service() -> None:
    faults = [
        Fault("planner", "planner-1", "kill", 10, "2 goals <in flight>", recovered_at=30),
        Fault("planner", "planner-1", "cut", 40, "1 goal", recovered_at=40.1),
        Fault("writer", "writer-1", "hang", 50, "a step"),
    ]
    root = ElementTree.fromstring(picture([0.0, 1.0], [99.0, 100.0], faults, title="a < b"))
    drawn = [bar for bar in root.iter(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    bars = [(bar, float(bar.get("width", "0"))) for bar in drawn]
    (killed, twenty_s), (cut, least), (hung, to_the_end) = bars
    assert 150 < twenty_s < 180
    assert least < 5, "thin, but to be seen"
    assert to_the_end > 2 * twenty_s, "never recovered"
    assert killed.get("y") == cut.get("y") != hung.get("y")


def test_twenty_thousand_goals_are_no_more_points_than_the_picture_has_room_for() -> None:
    many = [n / 10 for n in range(20_000)]
    assert len(picture(many, many, [], title="")) < 400_000
