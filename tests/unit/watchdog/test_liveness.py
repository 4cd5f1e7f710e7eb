"""A hang, an outage and a thaw are three different things."""

from services.watchdog.liveness import Beat, Liveness, Watched


def running(*names: str) -> list[Watched]:
    return [Watched(name, starting=False, since=0.0, start_timeout_s=30.0) for name in names]


def watch(liveness: Liveness, names: str, beats: dict[str, Beat], *, until: float, since: float = 100.0):
    """Judges twice a second; the verdicts of the last time."""
    now, verdict = since, liveness.judge(running(*names.split()), beats, since)
    while now < until:
        now += 0.5
        verdict = liveness.judge(running(*names.split()), beats, now)
    return verdict


def test_a_child_that_is_silent_while_others_beat_is_hung():
    liveness = Liveness(silence_s=10)
    beats = {"a": Beat(100.0, ready=True), "b": Beat(112.0, ready=True)}
    assert watch(liveness, "a b", beats, until=110.0)[1] == []
    _, hung = watch(liveness, "a b", beats, until=112.0, since=110.5)
    assert [one.id for one in hung] == ["a"]
    assert hung[0].reason == "hung: silent for 12.0 s"


def test_all_silent_at_once_is_an_outage():
    beats = {"a": Beat(100.0, ready=True), "b": Beat(100.0, ready=True)}
    assert watch(Liveness(silence_s=10), "a b", beats, until=130.0)[1] == []


def test_silence_counts_anew_after_the_watchdog_itself_was_frozen():
    liveness = Liveness(silence_s=10)
    liveness.judge(running("a", "b"), {}, 100.0)
    thawed_at = 160.0
    beats = {"a": Beat(100.0, ready=True), "b": Beat(thawed_at, ready=True)}
    assert liveness.judge(running("a", "b"), beats, thawed_at)[1] == []
    beats["b"] = Beat(thawed_at + 11, ready=True)
    assert [one.id for one in watch(liveness, "a b", beats, since=160.5, until=171.0)[1]] == ["a"]


def test_a_child_is_started_with_its_first_ready_beat():
    starting = [Watched("a", starting=True, since=100.0, start_timeout_s=30.0)]
    liveness = Liveness()
    assert liveness.judge(starting, {"a": Beat(100.5, ready=False)}, 100.5)[0] == []
    assert liveness.judge(starting, {"a": Beat(101.0, ready=True)}, 101.0)[0] == ["a"]


def test_a_start_without_a_beat_is_late_but_one_that_waits_for_the_broker_is_not():
    def judge(beat: Beat | None):
        liveness = Liveness()
        starting = [Watched("a", starting=True, since=100.0, start_timeout_s=30.0)]
        liveness.judge(starting, {}, 130.0)
        return liveness.judge(starting, {"a": beat} if beat else {}, 130.5)[1]

    assert [one.reason for one in judge(None)] == ["no beat within 30 s of its start"]
    assert judge(Beat(130.4, ready=False, reason="no broker")) == []


def test_a_start_that_does_not_get_ready_although_others_are_connected_is_late():
    starting = [Watched("a", starting=True, since=100.0, start_timeout_s=30.0)]
    beats = {"a": Beat(130.4, ready=False, reason="wrong password"), "b": Beat(130.4, ready=True)}
    liveness = Liveness()
    liveness.judge(starting, beats, 130.0)
    _, late = liveness.judge(starting, beats, 130.5)
    assert [one.reason for one in late] == ["not ready within 30 s: wrong password"]
