"""A hang, an outage and a thaw are three different things."""

from collections.abc import Callable, Mapping

from services.watchdog.liveness import ASKED_S, BUSY_S, THAW_S, Beat, Hung, Liveness, Signs, Watched

EVERY_S = 0.25


def running(*names: str) -> list[Watched]:
    return [Watched(name, starting=False, since=0.0, start_timeout_s=30.0) for name in names]


def beating_until(moment: float) -> Callable[[float], float]:
    """Twice a second until then, and never again."""
    return lambda now: min(now - now % 0.5, moment)


def watch(
    last: Mapping[str, Callable[[float], float]],
    *,
    until: float,
    liveness: Liveness | None = None,
    signs: Callable[[float], Mapping[str, Signs]] = lambda now: {},
    frozen: tuple[float, float] = (0.0, 0.0),
    looks_s: float = 0.0,
) -> list[tuple[float, Hung]]:
    """Judges four times a second from 100 on, but while the watchdog is frozen; who was found hung, and when. A closer
    look at the silent ones takes `looks_s`."""
    liveness, found, now = liveness or Liveness(), [], 100.0
    while now <= until:
        if not frozen[0] < now < frozen[1]:
            beats = {name: Beat(at(now), ready=True) for name, at in last.items()}
            looked_s = looks_s if liveness.quiet(running(*last), beats, now) else 0.0
            now += looked_s
            beats = {name: Beat(at(now), ready=True) for name, at in last.items()}
            _, hung = liveness.judge(running(*last), beats, now, signs=signs(now), looked_s=looked_s)
            found += [(now, one) for one in hung]
            if hung:
                break
        now += EVERY_S
    return found


def test_a_child_that_is_silent_while_others_beat_is_hung_within_three_seconds():
    found = watch({"a": beating_until(110.0), "b": beating_until(999.0)}, until=130.0)
    assert [one.id for _, one in found] == ["a"]
    at, hung = found[0]
    assert 2.5 <= at - 110.0 <= 3.0
    assert hung.reason == f"hung: silent for {at - 110.0:.1f} s"


def test_all_silent_at_once_is_an_outage_whenever_each_had_beaten_last():
    assert watch({"a": beating_until(110.0), "b": beating_until(110.5), "c": beating_until(109.5)}, until=180.0) == []


def test_who_comes_back_first_from_an_outage_is_no_witness_against_the_others():
    def back_at(moment: float) -> Callable[[float], float]:
        return lambda now: now - now % 0.5 if now < 110.0 or now > moment else 110.0

    assert watch({"a": back_at(130.0), "b": back_at(132.5)}, until=160.0) == []


def test_an_only_child_needs_no_witness():
    assert [one.id for _, one in watch({"a": beating_until(110.0)}, until=130.0)] == ["a"]


def test_a_beat_between_suspicion_and_second_look_is_a_sign_of_life():
    slow = lambda now: now - now % 2.3  # noqa: E731 - a loop that is blocked for 2.3 s, again and again
    assert watch({"a": slow, "b": beating_until(999.0)}, until=160.0) == []


def test_time_without_a_processor_is_not_the_childs_silence():
    def starved(now: float) -> Mapping[str, Signs]:
        return {"a": Signs(starved_s=max(0.0, (now - 110.0) * 0.75))}

    lasts = {"a": beating_until(110.0), "b": beating_until(999.0)}
    found = watch(lasts, until=160.0, signs=starved)
    assert [one.id for _, one in found] == ["a"]
    assert found[0][0] - 110.0 >= 8.0, "two seconds of its own take eight, at a quarter of a processor"


def test_a_container_that_is_busy_is_given_longer():
    lasts = {"a": beating_until(110.0), "b": beating_until(999.0)}
    found = watch(lasts, until=160.0, signs=lambda now: {"a": Signs(busy=True)})
    assert BUSY_S <= found[0][0] - 110.0 <= BUSY_S + 1.0


def test_after_the_whole_mesh_was_frozen_everybody_has_time_to_come_back():
    def thawed_after(grace: float) -> Callable[[float], float]:
        return lambda now: now - now % 0.5 if now < 110.0 or now > 170.0 + grace else 110.0

    lasts = {"a": thawed_after(THAW_S), "b": thawed_after(0.0)}
    assert watch(lasts, until=200.0, frozen=(110.0, 170.0)) == []


def test_who_does_not_come_back_after_a_thaw_is_hung():
    lasts = {"a": beating_until(110.0), "b": beating_until(999.0)}
    found = watch(lasts, until=200.0, frozen=(110.0, 170.0))
    assert [one.id for _, one in found] == ["a"]
    assert found[0][0] <= 170.0 + THAW_S + 3.5


def test_the_watchdogs_own_small_delays_do_not_count():
    liveness, found, now = Liveness(), [], 100.0
    while now < 110.0 and not found:  # it looks only every 0.9 s: so late is the machine
        beats = {"a": Beat(100.0, ready=True), "b": Beat(now, ready=True)}
        found = liveness.judge(running("a", "b"), beats, now)[1]
        now += 0.9
    assert now >= 108.0, "0.65 of each 0.9 s are the watchdog's own"


def test_what_a_closer_look_takes_is_no_lateness_of_the_watchdog_and_no_thaw():
    found = watch({"a": beating_until(110.0), "b": beating_until(999.0)}, until=130.0, looks_s=0.9)
    assert [one.id for _, one in found] == ["a"]
    assert found[0][0] - 110.0 <= 4.5


def test_a_machine_that_stood_still_during_a_look_stood_still_all_the_same():
    found = watch({"a": beating_until(110.0), "b": beating_until(999.0)}, until=115.0, looks_s=1.0 + 1.2)
    assert found == []


def test_a_handler_over_its_limit_is_killed_without_silence_or_witness():
    beats = {"a": Beat(100.0, ready=True, stalled="run_step.v1 for 40 s, at most 30 s"), "b": Beat(1.0, ready=True)}
    _, hung = Liveness().judge(running("a", "b"), beats, 100.0)
    assert [(one.id, one.reason) for one in hung] == [("a", "stalled: run_step.v1 for 40 s, at most 30 s")]


def test_what_an_earlier_process_of_that_name_wrote_is_no_beat():
    one = [Watched("a", starting=True, since=100.0, start_timeout_s=30.0)]
    assert Liveness().judge(one, {"a": Beat(99.9, ready=True)}, 100.5)[0] == []


def test_a_child_is_started_with_its_first_ready_beat():
    starting = [Watched("a", starting=True, since=100.0, start_timeout_s=30.0)]
    liveness = Liveness()
    assert liveness.judge(starting, {"a": Beat(100.5, ready=False)}, 100.5)[0] == []
    assert liveness.judge(starting, {"a": Beat(101.0, ready=True)}, 101.0)[0] == ["a"]


def test_a_start_without_a_beat_is_late_but_one_that_waits_for_the_broker_is_not():
    def judge(beat: Beat | None) -> list[Hung]:
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


def judged(
    broker: Callable[[float], float], child: Callable[[float], float], *, until: float
) -> list[tuple[float, str]]:
    """A broker that is asked and two children, judged four times a second; who was found hung first, and when."""
    liveness, now = Liveness(), 100.0
    watched = [Watched("broker", starting=False, since=0.0, start_timeout_s=60.0, asked=True), *running("a", "b")]
    while now <= until:
        beats = {"broker": Beat(broker(now), ready=False)}
        beats |= {name: Beat(child(now), ready=True) for name in ("a", "b")}
        _, hung = liveness.judge(watched, beats, now)
        if hung:
            return [(now, one.id) for one in hung]
        now += EVERY_S
    return []


def test_a_broker_that_answers_no_more_is_hung_after_ten_seconds_while_others_beat():
    [(at, name)] = judged(beating_until(110.0), beating_until(999.0), until=160.0)
    assert name == "broker"
    assert ASKED_S + 0.5 <= at - 110.0 <= ASKED_S + 1.0


def test_a_broker_is_no_witness_against_its_clients_and_has_none_when_all_are_silent():
    assert judged(beating_until(999.0), beating_until(110.0), until=160.0) == [], "all loops at once: the machine"
    assert judged(beating_until(110.0), beating_until(110.0), until=160.0) == []


def test_a_broker_alone_needs_no_witness():
    only = [Watched("broker", starting=False, since=0.0, start_timeout_s=60.0, asked=True)]
    liveness = Liveness()
    found = [liveness.judge(only, {"broker": Beat(100.0, ready=False)}, 100.0 + n * EVERY_S)[1] for n in range(60)]
    assert any(found)
    assert not any(found[: int(ASKED_S / EVERY_S)])
