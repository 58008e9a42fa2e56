"""Approach, hold, lift and trip-wire on a spring in this process; the truth is the spring's."""

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from acquisition.engine import Watcher, run
from acquisition.force import force_control
from acquisition.force_errors import ForceTripped, NoContact, StillTouches
from acquisition.instructions import Cut
from acquisition.journal import Attempt
from acquisition.plan import Force
from acquisition.run_store import RunStore
from acquisition.states import State
from devices.errors import DeviceError, DeviceLost, DeviceTimeout, Saturated, Stale, Stopped
from tests.acquisition.force_bench import SATURATES_AT_NN, Bench, once, until

SET_POINT_NN, LIMIT_NN = Force().set_point_nn, Force().limit_nn
SETTLED_NN = 0.03 * SET_POINT_NN  # it settles to within 2 %, of the mean


def fails_with(error: DeviceError) -> object:
    def fail(force_nn: float) -> float:
        raise error

    return once(fail)


def test_a_specimen_within_reach_takes_no_coarse_step() -> None:
    bench = Bench(specimen_um=5.0)
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
    assert bench.focus.went == []
    assert bench.is_retracted
    assert bench.probe.highest_nn < LIMIT_NN
    assert [kind for kind, _ in bench.notes] == ["force_engaged"]


def test_coarse_steps_are_taken_with_the_piezo_retracted_and_one_way() -> None:
    bench = Bench(specimen_um=16.0)
    z_um: list[float] = []
    bench.focus.before_move = lambda: z_um.append(bench.scanner.place_um["z"])
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
        assert 2.5 <= bench.scanner.place_um["z"] <= 7.5
    places_um = [50_000.0, *(went["z"] for went in bench.focus.went)]
    steps_um = [before - after for before, after in pairwise(places_um)]
    assert len(steps_um) >= 2
    assert all(0 < step_um <= 5.0 for step_um in steps_um)  # half the fine range
    assert set(z_um) == {0.0}


def test_a_contact_near_an_end_is_brought_to_the_middle() -> None:
    low, high = Bench(specimen_um=1.0), Bench(specimen_um=9.0)
    for bench in (low, high):
        with bench.control() as control:
            control.prepare()
            assert bench.scanner.place_um["z"] == pytest.approx(5.0, abs=0.1)
    assert [went["z"] for went in low.focus.went] == pytest.approx([50_014.0, 50_004.0], abs=0.1)  # from above
    assert [went["z"] for went in high.focus.went] == pytest.approx([49_996.0], abs=0.1)


def test_the_search_ends_where_the_plan_says_and_tells_how_far_it_looked() -> None:
    bench = Bench(specimen_um=500.0)
    with (
        bench.control(approach_um=10.0) as control,
        pytest.raises(NoContact, match=r"down to 49992 um.*approach_um = 10"),
    ):
        control.prepare()
    assert bench.is_retracted


def test_without_a_stage_that_carries_the_probe_only_the_piezo_looks() -> None:
    bench = Bench(specimen_um=11.0, rides_on=None)
    with bench.control() as control, pytest.raises(NoContact, match=r"scanner z at 0\.\.10 um"):
        control.prepare()
    assert bench.focus.went == []


def test_a_probe_that_touches_at_the_start_is_not_pressed_further() -> None:
    bench = Bench(specimen_um=-0.1, rides_on=None)
    with bench.control() as control, pytest.raises(StillTouches, match=r"4200 nN.*no stage can lift it"):
        control.prepare()
    assert all(went["z"] == 0.0 for went in bench.scanner.went)


@pytest.mark.parametrize(("risen_um", "lifted_to_um"), [(15.0, 50_020.0), (90.0, 50_100.0)])
def test_a_specimen_that_follows_a_retracted_probe_is_left_by_the_coarse_stage(
    risen_um: float, lifted_to_um: float
) -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.probe.specimen_um -= risen_um
        until(lambda: bench.notes[-1][0] == "force_tripped")
        assert bench.is_retracted
        assert bench.focus.place_um["z"] == lifted_to_um
        assert bench.probe.true_nn() == 0.0
        assert "trouble" not in bench.notes[-1][1]
        with pytest.raises(ForceTripped, match="saturated"):
            control.at_tile()
        assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)


def test_a_probe_that_nothing_frees_is_told_as_loudly_as_can_be() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.probe.specimen_um -= 500.0
        until(lambda: bench.notes[-1][0] == "force_tripped")
        assert bench.focus.place_um["z"] == 50_100.0
        assert "lifting it did not help" in bench.notes[-1][1]["trouble"]
        with pytest.raises(ForceTripped, match="THE PROBE STILL TOUCHES"):
            control.at_tile()
        lifted = len(bench.focus.went)
        with pytest.raises(StillTouches):
            control.release()
        assert len(bench.focus.went) == lifted, "the coarse stage does not climb with every try"
        assert not bench.heartbeat.engaged, "z is where the guardian would send it"


def test_a_run_that_pauses_with_a_probe_that_is_not_free_says_so(new_store: Callable[..., RunStore]) -> None:
    bench = Bench()
    store = new_store(force={"policy": "contact"}, on_failure={"force": "pause"})

    def rise(attempt: Attempt) -> None:
        bench.probe.specimen_um -= 500.0

    def stop_once_paused(state: State) -> None:
        if state is State.PAUSED:
            bench.told.stop()

    run(store, bench.rig, bench.told, Watcher(rise, stop_once_paused))
    (paused,) = [event.data for event in store.journal.events() if event.kind == "paused"]
    assert "THE PROBE STILL TOUCHES" in paused["trouble"]


def test_a_tile_during_which_the_wire_tripped_is_taken_again(new_store: Callable[..., RunStore]) -> None:
    bench = Bench()
    camera: Any = bench.rig.camera
    store = new_store(force={"policy": "contact"})
    held: list[bool] = []

    def rise_during_the_second() -> None:
        if camera.snaps == 1:
            bench.probe.specimen_um -= 0.5
            until(lambda: bench.is_retracted)
        held.append(bench.probe.true_nn() > 0)

    camera.before_snap = rise_during_the_second
    run(store, bench.rig, bench.told)
    taken = [attempt for _, attempt in store.journal.attempts()]
    assert [(attempt.tile, attempt.verdict) for attempt in taken[:3]] == [(0, "ok"), (1, "retry"), (1, "ok")]
    assert taken[1].cause == "force"
    kept = {attempt.camera_frame for attempt in taken if attempt.frame is not None}
    assert kept == {number for number, was_held in enumerate(held, start=1) if was_held}


def test_the_offset_of_the_detector_does_not_count_as_force() -> None:
    bench = Bench()
    bench.probe.offset_nn = 300.0
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
        assert control.reading() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)


def test_a_contact_with_the_probe_retracted_is_no_baseline() -> None:
    bench = Bench(specimen_um=-0.02)  # 840 nN
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
        assert bench.focus.went[0] == {"z": 50_020.0}, "lifted before anything else"
    assert bench.probe.highest_nn < LIMIT_NN


def test_a_detector_that_drifts_is_doubted_once() -> None:
    bench = Bench()
    with bench.control() as control:
        for bench.probe.offset_nn in (-400.0, -500.0, -600.0):
            control.prepare()
            assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
            control.release()
        assert [went["z"] for went in bench.focus.went].count(50_020.0) == 1
    assert "force_tripped" not in [kind for kind, _ in bench.notes]


def test_the_true_force_stays_below_its_limit_where_a_contact_cannot_be_told_from_an_offset() -> None:
    bench = Bench(specimen_um=-0.02, rides_on=None)  # 840 nN
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(840.0 + SET_POINT_NN, abs=SETTLED_NN)
        bench.probe.specimen_um -= 0.018  # 756 nN more
        until(lambda: bench.is_retracted)
        with pytest.raises(ForceTripped, match="limit 2000 nN"):
            control.before_step()


def test_a_spike_is_no_contact() -> None:
    bench = Bench()
    readings = iter(range(10**9))
    bench.probe.next_reading = lambda force_nn: 1500.0 if next(readings) == 100 else force_nn
    with bench.control() as control:
        control.prepare()
        assert bench.probe.true_nn() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)


def test_a_slope_is_followed_in_contact() -> None:
    bench = Bench()
    bench.probe.slope = 0.1
    with bench.control() as control:
        control.prepare()
        for x_um in (52.0, 48.0, 50.5):
            control.before_step()
            control.move_to({"x": x_um, "y": 50.0})
            assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
            assert bench.scanner.place_um["x"] == x_um
    assert bench.probe.highest_nn < LIMIT_NN


def test_hovering_lifts_before_each_step_and_touches_down_at_each_tile() -> None:
    bench = Bench()
    with bench.control("hover") as control:
        control.prepare()
        for x_um in (60.0, 70.0):
            control.before_step()
            assert bench.scanner.place_um["z"] < 5.0 - 1.9
            assert bench.probe.true_nn() == 0.0
            control.move_to({"x": x_um, "y": 50.0})
            assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)


def test_a_touch_down_begins_where_a_search_for_the_focus_left_z() -> None:
    bench = Bench()
    with bench.control("hover") as control:
        control.prepare()
        bench.scanner.move_to({"z": 1.0})
        control.at_tile()
        z_um = [went["z"] for went in bench.scanner.went if "z" in went]
        touch_down_um = z_um[len(z_um) - z_um[::-1].index(1.0) :]
        assert touch_down_um[0] == pytest.approx(1.0, abs=0.05)
        assert all(after - before < 0.05 for before, after in pairwise(touch_down_um))  # the longest step that is taken


def test_a_lift_that_does_not_free_the_probe_becomes_a_retreat() -> None:
    bench = Bench()
    with bench.control("hover", lift_um=0.5) as control:  # it pulls off after 0.8 um
        control.prepare()
        assert bench.is_retracted
        assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)


@pytest.mark.parametrize(
    "error",
    [Saturated("force", "10 V"), Stale("force", "the same digits"), DeviceLost("force", "gone")],
    ids=lambda error: type(error).__name__,
)
def test_a_reading_that_cannot_be_trusted_retracts_and_is_told_by_the_next_call(error: DeviceError) -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.probe.next_reading = fails_with(error)  # type: ignore[assignment]
        until(lambda: ("force_tripped", {"reason": str(error)}) in bench.notes)
        assert bench.is_retracted
        with pytest.raises(ForceTripped, match=error.message):
            control.before_step()
        assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN), "a retry approaches again"


def test_a_force_over_the_limit_retracts_before_anybody_is_told() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.probe.specimen_um -= 0.1  # 4.2 uN
        until(lambda: bench.notes[-1][0] == "force_tripped")
        assert bench.is_retracted
        with pytest.raises(ForceTripped, match="limit 2000 nN"):
            control.at_tile()


def test_a_lifted_probe_is_watched_too() -> None:
    bench = Bench()
    with bench.control("hover") as control:
        control.prepare()
        bench.probe.specimen_um -= 2.2
        until(lambda: bench.is_retracted)
        with pytest.raises(ForceTripped):
            control.at_tile()


def test_a_sensor_that_falls_silent_does_not_keep_the_probe_down() -> None:
    bench = Bench()
    answers = threading.Event()

    def silent(force_nn: float) -> float:
        answers.wait(20.0)
        return 0.0

    with bench.control() as control:
        control.prepare()
        bench.probe.next_reading = once(silent)
        until(lambda: bench.is_retracted)
        assert not answers.is_set()
        steered = len(bench.scanner.went)
        answers.set()
        with pytest.raises(ForceTripped, match="no reading for"):
            control.at_tile()
        assert all(went["z"] == 0.0 for went in bench.scanner.went[steered:]), "the late reading moved nothing"


def test_a_scanner_that_falls_silent_is_sent_down_another_way() -> None:
    bench = Bench()
    answers = threading.Event()
    with bench.control() as control:
        control.prepare()
        bench.scanner.before_move = lambda: answers.wait(20.0) and None
        bench.probe.specimen_um += 0.02  # so that there is something to steer
        until(lambda: bench.is_retracted)
        assert not answers.is_set()
        answers.set()
        with pytest.raises(ForceTripped, match="no reading for"):
            control.at_tile()
        assert bench.is_retracted


def test_a_stop_from_elsewhere_retracts_and_trips_nothing() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.scanner.stop()
        bench.probe.specimen_um += 0.02  # so that there is something to steer
        until(lambda: bench.is_retracted)
        control.before_step()
        assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
    assert "force_tripped" not in [kind for kind, _ in bench.notes]


def test_a_stop_cuts_the_approach_short_and_retracts() -> None:
    bench = Bench(specimen_um=500.0)
    bench.focus.before_move = lambda: bench.told.stop("enough")
    with bench.control() as control:
        with pytest.raises((Cut, Stopped)):
            control.prepare()
        assert bench.is_retracted
    assert len(bench.focus.went) == 1


def test_a_specimen_that_goes_out_of_reach_and_comes_back_is_met_gently() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.probe.specimen_um = 20.0
        until(lambda: bench.scanner.place_um["z"] == 10.0)
        bench.probe.specimen_um = 9.99
        until(lambda: bench.probe.true_nn() < 1.1 * SET_POINT_NN)
    assert bench.probe.highest_nn < LIMIT_NN


def test_a_specimen_that_drifts_to_the_end_of_the_piezo_is_approached_anew() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        while bench.probe.specimen_um < 9.5:
            bench.probe.specimen_um += 0.02
            until(lambda: bench.probe.true_nn() > 0.5 * SET_POINT_NN)
        assert control.at_tile() == pytest.approx(SET_POINT_NN, abs=SETTLED_NN)
        assert bench.scanner.place_um["z"] == pytest.approx(5.0, abs=0.1)


def test_the_guardian_sees_when_the_probe_is_engaged_and_that_the_loop_lives() -> None:
    bench = Bench()
    heartbeat = bench.heartbeat
    with bench.control() as control:
        assert heartbeat.force.resting
        control.prepare()
        assert heartbeat.engaged
        assert not heartbeat.force.resting
        control.release()
        assert not heartbeat.engaged
        assert heartbeat.force.resting
        control.prepare()
    assert heartbeat.resting


def test_a_probe_that_the_guardian_retracted_is_not_sent_up_until_it_is_approached_anew() -> None:
    bench = Bench()
    with bench.control() as control:
        control.prepare()
        bench.heartbeat.tell_retracted()
        until(lambda: bench.is_retracted)
        with pytest.raises(ForceTripped, match="the guardian has retracted"):
            control.before_step()
        assert bench.heartbeat.retracted
        control.at_tile()
        assert not bench.heartbeat.retracted


def test_a_scanner_that_cannot_be_told_to_retract_is_tried_again_and_told() -> None:
    bench = Bench()

    def dead() -> None:
        raise DeviceTimeout("scanner", "no answer")

    with bench.control() as control:
        control.prepare()
        bench.scanner.before_move = dead
        bench.probe.next_reading = once(lambda force_nn: 2 * SATURATES_AT_NN)
        until(lambda: bench.notes[-1][0] == "force_tripped")
        with pytest.raises(ForceTripped, match="could not be retracted: scanner: no answer"):
            control.before_step()
        bench.scanner.before_move = lambda: None
        control.release()
        assert bench.is_retracted


def test_without_a_policy_nothing_moves_and_the_force_is_read() -> None:
    bench = Bench()
    bench.probe.offset_nn = 12.0
    with force_control(bench.rig, Force(), bench.told, lambda kind, **data: None) as control:
        control.prepare()
        control.before_step()
        assert control.at_tile() == control.reading() == 12.0
        control.move_to({"x": 10.0, "y": 10.0})
        control.release()
    assert bench.scanner.went == [{"x": 10.0, "y": 10.0}]
