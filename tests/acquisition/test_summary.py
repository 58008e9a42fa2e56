"""What the journal of a run amounts to: counts, times, and what the time was lost to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acquisition.journal import Attempt, Event
from acquisition.lost_time import by_cause, losses
from acquisition.overlap import PlannedTile
from acquisition.preflight import cost
from acquisition.progress import progress_of
from acquisition.run_store import RunStore
from acquisition.summary import outcome_of, run_facts
from acquisition.tile_fates import tile_fates
from acquisition.timeline import sign_of_life_s, timeline_of

NewStore = Callable[..., RunStore]
START = datetime(2026, 1, 1, 22, tzinfo=UTC)


def at(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat(timespec="microseconds")


def attempt(tile: int, number: int = 1, second: float = 0.0, **changes: Any) -> Attempt:
    accepted = Attempt(
        tile=tile,
        attempt=number,
        row=0,
        col=tile,
        started_at=at(second),
        target_x_um=20.0,
        target_y_um=30.0,
        target_z_um=0.0,
        exposure_s=0.02,
        settle_s=0.03,
        total_s=0.06,
        verdict="ok",
    )
    return replace(accepted, **changes)


def failed(
    tile: int, number: int = 1, verdict: str = "retry", cause: str | None = "timeout", **changes: Any
) -> Attempt:
    return attempt(tile, number, verdict=verdict, cause=cause, reason="camera: no frame", **changes)


def told(*kinds: tuple[float, str] | tuple[float, str, dict[str, object]]) -> list[Event]:
    return [Event(seq, at(said[0]), said[1], dict(*said[2:])) for seq, said in enumerate(kinds, start=1)]


def spent(*attempts: Attempt, events: list[Event] | None = None) -> dict[str, float]:
    events = events or []
    return {loss.cause: loss.time_s for loss in losses(attempts, events, timeline_of(attempts, events))}


def test_counts_each_tile_by_what_became_of_it(new_store: NewStore) -> None:
    store = new_store()
    for each in (
        attempt(0),
        failed(1),
        attempt(1, 2),
        failed(2, verdict="skipped"),
        failed(3, verdict="skipped"),
        attempt(3, 2),
        failed(4, verdict="failed"),
    ):
        store.journal.record(each)
    assert run_facts(store)["tiles"] == {"planned": 6, "ok": 3, "retried": 2, "flagged": 0, "skipped": 1, "failed": 1}


def test_counts_time_and_overhead(new_store: NewStore) -> None:
    store = new_store()
    for tile, total_s in enumerate((0.06, 0.06, 0.07)):
        store.journal.record(attempt(tile, total_s=total_s))
    time: Any = run_facts(store)["time"]
    assert time["physics_s"] == pytest.approx(0.15)
    assert time["overhead_ms_p50"] == pytest.approx(10.0)
    assert time["overhead_ms_p99"] == pytest.approx(19.8)  # between 10 and 20, 0.98 of the way


def test_what_focus_drift_and_probe_took_is_lost_and_no_overhead(new_store: NewStore) -> None:
    store = new_store()
    store.journal.record(attempt(0, attending_s=3.0, total_s=3.06))
    time: Any = run_facts(store)["time"]
    assert time["overhead_ms_p50"] == pytest.approx(10.0)
    refused = failed(1, cause="quality", attending_s=3.0, total_s=3.06)
    assert spent(refused, events=told((0, "run_started"), (3, "focus_measured", {"took_s": 3.0}))) == pytest.approx(
        {"focus": 3.0, "retake": 0.06}
    )


def test_touching_down_on_each_tile_is_lost_to_the_force() -> None:
    taken = [attempt(tile, second=10.0 * tile, attending_s=1.0, total_s=2.0) for tile in range(1, 4)]
    events = told(
        (0, "run_started"),
        (5, "force_engaged", {"took_s": 4.0}),  # before the first tile
        (21, "force_engaged", {"took_s": 0.6}),  # at the second
        (22, "run_completed"),
    )
    found = losses(taken, events, timeline_of(taken, events))
    assert by_cause(found) == pytest.approx({"force": 4.0 + 3 * 1.0})


def test_a_resumed_run_does_not_count_the_time_that_it_was_down() -> None:
    events = told(
        (0, "run_started"),
        (51, "guardian_retracted"),  # by then the service is gone
        (999, "worker_started"),
        (1000, "run_resumed"),
        (1060, "run_completed"),
    )
    line = timeline_of([attempt(0, second=50), attempt(1, second=1010)], events)
    assert [(span.what, span.length_s) for span in line.sessions] == [("cut off", 50), ("completed", 60)]
    assert [span.length_s for span in line.downs] == [950]
    assert line.working_s == 110


def test_what_is_written_before_the_engine_goes_on_is_no_sign_of_life_of_the_last_one() -> None:
    events = told(
        (0, "run_started"),
        (40, "still_paused"),
        (80, "resume_begun"),
        (81, "device_trouble"),
        (82, "needs_somebody", {"reason": None}),
        (90, "resume_begun"),
        (91, "device_trouble"),
        (100, "run_resumed"),
        (110, "run_completed"),
    )
    line = timeline_of([attempt(0, second=30)], events)
    assert [(span.what, span.length_s) for span in line.sessions] == [("cut off", 40), ("completed", 10)]
    assert [span.length_s for span in line.downs] == [60]


def test_a_run_that_somebody_stopped_was_not_down() -> None:
    events = told((0, "run_started"), (10, "run_stopped"), (1000, "run_resumed"), (1010, "run_failed"))
    line = timeline_of([], events)
    assert list(line.downs) == []
    assert line.working_s == 20


def test_a_failure_before_the_engine_began_makes_no_session_longer() -> None:
    refused = 90_000, "run_failed", {"before": "the engine began", "reason": "guardian: did not get ready"}
    for last in ((10, "run_stopped"), (10, "focus_measured")):
        events = told((0, "run_started"), last, refused)
        assert timeline_of([], events).working_s == 10
        assert outcome_of(events) == "failed"


def test_a_run_that_goes_on_has_no_outcome_even_after_an_earlier_one() -> None:
    assert outcome_of(told((0, "run_started"))) is None
    assert outcome_of(told((0, "run_started"), (5, "run_failed"))) == "failed"
    assert outcome_of(told((0, "run_started"), (5, "run_failed"), (9, "run_resumed"))) is None


def test_time_is_lost_by_cause() -> None:
    lost = spent(
        attempt(0),
        failed(1, total_s=2.0),
        failed(1, 2, total_s=3.0),
        failed(2, cause="quality", total_s=0.5),
        failed(3, cause=None, total_s=0.25),
        events=told(
            (0, "run_started"),
            (10, "paused", {"reason": "somebody looks at the specimen"}),
            (40, "continued"),
            (50, "focus_measured", {"took_s": 1.5}),
            (61, "paused", {"reason": "lid = 1 is above 0"}),
            (61, "interlock_tripped", {"name": "lid", "reason": "lid = 1 is above 0"}),
            (91, "interlock_cleared", {"name": "lid"}),
            (92, "continued"),
            (100, "run_failed"),
            (160, "run_resumed"),
            (200, "run_completed"),
        ),
    )
    assert lost == {
        "timeout": 5.0,
        "retake": 0.5,
        "other": 0.25,
        "paused": 30.0,
        "focus": 1.5,
        "interlock": 31.0,
        "down": 60.0,
    }


def test_a_frame_that_a_doubt_put_aside_is_lost_to_the_retake() -> None:
    events = told((0, "run_started"), (9, "quality_refused", {"tile": 1, "reason": "no neighbour matches"}))
    attempts = [attempt(1, total_s=2.0), attempt(2, total_s=4.0), attempt(3, total_s=8.0), attempt(4, total_s=16.0)]
    attempts += [
        attempt(1, 2, total_s=2.5),
        attempt(2, 2, retake=1, cause="doubtful", reason="what it shows does not explain what came"),
        attempt(3, 2, retake=2, cause="asked", reason="a hair"),
        failed(4, 2, verdict="skipped", cause="quality", total_s=0.5),  # the earlier one stays
    ]
    lost = losses(attempts, events, timeline_of(attempts, events))
    assert [(loss.cause, loss.reason, loss.time_s) for loss in lost] == [
        ("retake", "what it shows does not explain what came", 4.0),
        ("retake", "no neighbour matches", 2.0),
        ("retake", "camera: no frame", 0.5),
    ]


def test_a_pause_ends_with_its_session() -> None:
    events = told((0, "run_started"), (10, "paused"), (500, "run_resumed"), (510, "run_completed"))
    line = timeline_of([attempt(0, second=40)], events)
    assert [span.length_s for span in line.pauses] == [30]
    assert [span.length_s for span in line.downs] == [460]


def test_a_pause_that_lasts_is_counted_so_far() -> None:
    events = told((0, "run_started"), (10, "paused"), (15, "interlock_cleared"))
    assert [span.length_s for span in timeline_of([], events).pauses] == [5]


def test_a_pause_that_a_crash_ended_lasted_until_its_last_sign_of_life() -> None:
    events = told(
        (0, "run_started"),
        (10, "paused"),
        (3600, "still_paused"),
        (3700, "worker_died"),
        (4000, "run_resumed"),
        (4010, "run_completed"),
    )
    line = timeline_of([attempt(0, second=5)], events)
    assert [span.length_s for span in line.pauses] == [3590]
    assert [span.length_s for span in line.downs] == [400]


def test_a_paused_run_gives_signs_of_life_the_rarer_the_longer_it_waits() -> None:
    assert [sign_of_life_s(paused_s) for paused_s in (0.0, 200.0, 36_000.0)] == [5.0, 20.0, 60.0]


def test_reasons_are_counted_apart() -> None:
    attempts = [failed(1, total_s=2.0), failed(1, 2, total_s=3.0), failed(2, cause="protocol")]
    found = losses(attempts, [], timeline_of(attempts, []))
    assert [(loss.cause, loss.reason, loss.count, loss.time_s) for loss in found] == [
        ("timeout", "camera: no frame", 2, 5.0),
        ("protocol", "camera: no frame", 1, 0.06),
    ]


def test_a_tile_that_was_taken_with_a_remark_is_flagged() -> None:
    planned = [PlannedTile(index, 0, index, 0.0, 0.0) for index in range(3)]
    fates = tile_fates(planned, [attempt(0, reason="focus: below half of its neighbours"), failed(1), attempt(1, 2)])
    assert [found.fate for found in fates] == ["flagged", "retried", "missing"]
    assert fates[1].reasons == ["camera: no frame"]
    assert fates[1].taken is not None
    assert fates[1].taken.attempt == 2


def left_s(store: RunStore) -> float:
    ends_at = progress_of(store, START).ends_at
    assert ends_at is not None
    return (ends_at - START).total_seconds()


def test_the_end_is_expected_from_what_tiles_took_at_the_beginning_of_a_row_and_within(new_store: NewStore) -> None:
    store = new_store(focus={"policy": "row"})
    planned = cost(store.plan, store.field)
    assert left_s(store) == pytest.approx(planned.duration_s)
    store.journal.record(failed(0, total_s=4.0))
    assert progress_of(store, START).ends_at is None
    store.journal.record(attempt(0, 2, total_s=6.0))
    assert (progress_of(store, START).done, progress_of(store, START).planned) == (1, 6)
    assert left_s(store) == pytest.approx(10.0 + 4 * planned.duration_s / 6)
    for tile, total_s in ((1, 0.5), (2, 1.5)):
        store.journal.record(attempt(tile, total_s=total_s))
    assert left_s(store) == pytest.approx(10.0 + 2 * 1.0)


def test_a_tile_that_was_skipped_by_order_takes_no_time_any_more(new_store: NewStore) -> None:
    store = new_store()
    store.journal.record(attempt(0, total_s=2.0))
    store.journal.record(attempt(1, total_s=2.0))
    before_s = left_s(store)
    store.journal.record(attempt(4, verdict="skipped", cause="told", frame=None, total_s=0.0))
    assert left_s(store) == pytest.approx(before_s - 2.0)
    store.journal.record(attempt(5, verdict="skipped", cause="device", frame=None, total_s=0.0))
    assert left_s(store) == pytest.approx(before_s - 2.0)  # is tried again when the run goes on


def test_a_run_that_has_ended_has_no_expected_end(new_store: NewStore) -> None:
    store = new_store()
    store.journal.record(attempt(0))
    for kind, ends in (("run_started", True), ("run_stopped", False), ("run_resumed", True)):
        store.journal.add_event(kind)
        assert (progress_of(store, START).ends_at is not None) is ends


def test_a_paused_run_has_no_expected_end(new_store: NewStore) -> None:
    store = new_store()
    store.journal.add_event("interlock_tripped", name="lid", action="pause", reason="lid = 1")  # before the engine
    store.journal.add_event("run_started")
    store.journal.record(attempt(0))
    store.journal.add_event("paused", reason="lid = 1")
    progress = progress_of(store, START)
    assert (progress.ends_at, progress.waits_for) == (None, "an interlock")
    store.journal.add_event("interlock_cleared", name="lid", action="pause")
    progress = progress_of(store, START)  # it is about to go on
    assert progress.waits_for is None
    assert progress.ends_at is not None
    store.journal.add_event("continued")
    assert progress_of(store, START).waits_for is None


@pytest.mark.parametrize("tripped", [False, True])
def test_a_paused_run_says_whether_somebody_has_to_come(new_store: NewStore, tripped: bool) -> None:
    store = new_store()
    store.journal.add_event("run_started")
    if tripped:
        store.journal.add_event("interlock_tripped", name="lid", action="pause", reason="lid = 1")
    store.journal.add_event("needs_somebody", reason="hands in the rig")
    assert progress_of(store, START).waits_for is None
    store.journal.add_event("paused", reason="hands in the rig")
    assert progress_of(store, START).waits_for == ("an interlock, then somebody" if tripped else "somebody")
    store.journal.add_event("resume_begun")  # after a crash, and the lid is closed by now
    store.journal.add_event("run_resumed")
    store.journal.add_event("paused", reason="hands in the rig")
    assert progress_of(store, START).waits_for == "somebody"
