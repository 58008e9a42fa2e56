"""The engine's loop: order, overlap of moving and storing, failures and their policies, a safe end."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import zarr

from acquisition.engine import run
from acquisition.focus import FocusControl
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.summary import run_facts
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError
from devices.protocols import Frame

NewStore = Callable[..., RunStore]


LONG_S = 0.1  # beside what a busy machine takes for a tile


def acquire(store: RunStore, rig: Any, told: Instructions | None = None) -> Outcome:
    return run(store, rig, told or Instructions(attended=False))


def attempts(store: RunStore) -> list[Attempt]:
    return [attempt for _, attempt in store.journal.attempts()]


def fail_at(calls: set[int], error: DeviceError) -> Callable[[], None]:
    """Raise `error` in the calls with these numbers, from 1."""
    count = iter(range(1, 1000))

    def maybe_fail() -> None:
        if next(count) in calls:
            raise error

    return maybe_fail


def test_takes_every_tile_and_stores_its_frame(new_store: NewStore, rig: Any) -> None:
    store = new_store()
    assert acquire(store, rig) is Outcome.COMPLETED
    done = attempts(store)
    assert [attempt.tile for attempt in done] == [0, 1, 2, 3, 4, 5]
    frames = zarr.open_array(store.path / "raw.zarr", mode="r")
    assert [int(frames[attempt.frame].max()) for attempt in done] == [1, 2, 3, 4, 5, 6]
    assert [event.kind for event in store.journal.events()] == ["run_started", "run_completed"]
    assert rig.scanner.stops == 1


def test_time_that_the_rig_needs_is_no_overhead(new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FocusControl, "at_tile", lambda self, tile, first_of_row: time.sleep(LONG_S))
    rig.scanner.before_move = lambda: time.sleep(LONG_S)
    rig.camera.before_snap = lambda: time.sleep(0.02)  # the exposure of the plan
    store = new_store(tiles={"dwell_s": LONG_S})
    acquire(store, rig)
    spent: Any = run_facts(store)["time"]
    assert spent["physics_s"] >= 6 * 2 * LONG_S
    assert 0 <= spent["overhead_ms_p50"] < 1000 * LONG_S / 2  # half of the least that could have been counted twice
    assert all(attempt.attending_s >= LONG_S for attempt in attempts(store))


def test_comes_to_the_first_tile_in_the_positive_direction(new_store: NewStore, rig: Any) -> None:
    acquire(new_store(), rig)
    before, first = rig.scanner.moves[:2]
    assert before["x"] < first["x"]
    assert before["y"] < first["y"]


def test_moves_on_while_a_frame_is_written_and_exposes_when_it_is_durable(new_store: NewStore, rig: Any) -> None:
    store = new_store()
    moves = threading.Semaphore(0)
    rig.scanner.before_move = moves.release
    record, moved_on = store.record_all, []

    def slow_record(taken: Sequence[tuple[Attempt, Any]]) -> list[Attempt]:
        ((attempt, _),) = taken
        if attempt.tile == 0:
            assert all(moves.acquire(timeout=5) for _ in ("backlash", "first tile"))
        if attempt.tile < 5:
            moved_on.append(moves.acquire(timeout=5))
        assert rig.camera.snaps == attempt.tile + 1, "the next exposure began before this frame was durable"
        return record(taken)

    store.record_all = slow_record  # type: ignore[method-assign]
    assert acquire(store, rig) is Outcome.COMPLETED
    assert moved_on == [True] * 5


def test_retries_what_the_plan_says_to_retry(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({2, 3}, DeviceTimeout("camera", "no frame"))
    store = new_store(on_failure={"timeout": "retry:2"})
    assert acquire(store, rig) is Outcome.COMPLETED
    assert [(a.tile, a.attempt, a.verdict) for a in attempts(store)][1:4] == [
        (1, 1, "retry"),
        (1, 2, "retry"),
        (1, 3, "ok"),
    ]
    assert attempts(store)[1].reason == "camera: no frame"


def test_waiting_before_another_try_counts_as_lost_and_not_as_overhead(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({2, 3, 4}, DeviceTimeout("camera", "no frame"))
    store = new_store(on_failure={"timeout": "retry:3"})
    acquire(store, rig)
    waited_s = 0.1 + 0.2 + 0.4
    facts: Any = run_facts(store)
    assert facts["lost_time_s"]["back-off"] == pytest.approx(waited_s, rel=0.2)  # measured, as it may be cut short
    assert facts["time"]["overhead_ms_p99"] < 1000 * waited_s / 2


def test_aborts_when_retries_are_used_up_and_leaves_the_rig_safe(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({2, 3, 4}, DeviceTimeout("camera", "no frame"))
    store = new_store(on_failure={"timeout": "retry:2"})
    with pytest.raises(DeviceTimeout):
        acquire(store, rig)
    assert [a.verdict for a in attempts(store)] == ["ok", "retry", "retry", "failed"]
    assert (store.journal.events()[-1].kind, store.journal.events()[-1].data) == (
        "run_failed",
        {"reason": "camera: no frame"},
    )
    assert rig.scanner.stops == 1


def test_comes_back_once_to_what_it_skipped(new_store: NewStore, rig: Any) -> None:
    rig.scanner.before_move = fail_at({3, 4, 5, 10, 11}, DeviceRejected("scanner", "busy"))  # tile 1, tile 2, tile 1
    store = new_store(on_failure={"rejected": "skip"})
    assert acquire(store, rig) is Outcome.COMPLETED
    ended = {a.tile: a.verdict for a in attempts(store)}
    assert [a.tile for a in attempts(store)] == [0, 1, 2, 3, 4, 5, 1, 2]
    assert ended == {0: "ok", 1: "skipped", 2: "ok", 3: "ok", 4: "ok", 5: "ok"}


def test_a_lost_device_ends_the_run_at_once_if_the_plan_says_so(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({3}, DeviceLost("camera", "gone"))
    store = new_store(on_failure={"lost": "abort"})
    with pytest.raises(DeviceLost):
        acquire(store, rig)
    assert [a.verdict for a in attempts(store)] == ["ok", "ok", "failed"]


def test_keeps_a_tile_that_was_taken_in_spite_of_a_stop(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    rig.camera.before_snap = lambda: told.stop() if rig.camera.snaps == 2 else None
    store = new_store()
    assert acquire(store, rig, told) is Outcome.STOPPED
    assert [a.verdict for a in attempts(store)] == ["ok", "ok", "ok"]


def disk_that_is_full(store: RunStore, calls: set[int]) -> None:
    """Refuse these recordings, counted from 1."""
    record, count = store.record_all, itertools.count(1)

    def full(taken: Sequence[tuple[Attempt, Any]]) -> list[Attempt]:
        if next(count) in calls:
            raise OSError(28, "No space left on device")
        return record(taken)

    store.record_all = full  # type: ignore[method-assign]


def test_a_full_disk_ends_the_run_with_its_own_error_if_the_plan_says_so(new_store: NewStore, rig: Any) -> None:
    store = new_store(on_failure={"disk": "abort"})
    disk_that_is_full(store, set(range(1, 100)))
    with pytest.raises(OSError, match="No space"):
        acquire(store, rig)
    assert attempts(store) == []
    assert store.journal.events()[-1].kind == "run_failed"
    assert rig.scanner.stops == 1


def test_a_disk_that_fills_up_with_the_last_frame_is_a_failure_too(new_store: NewStore, rig: Any) -> None:
    store = new_store(on_failure={"disk": "abort"})
    disk_that_is_full(store, {6})
    with pytest.raises(OSError, match="No space"):
        acquire(store, rig)
    assert len(attempts(store)) == 5
    assert store.journal.events()[-1].kind == "run_failed"
    assert store.journal.events()[-1].data == {"reason": "[Errno 28] No space left on device"}


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_disk_that_is_full_for_a_while_costs_no_frame(new_store: NewStore, rig: Any, at: int) -> None:
    store = new_store()
    disk_that_is_full(store, {at, at + 1})
    assert acquire(store, rig) is Outcome.COMPLETED
    assert [attempt.tile for attempt in attempts(store)] == [0, 1, 2, 3, 4, 5]
    assert rig.camera.snaps == 6, "a frame that was only waiting for the disk was taken again"


def test_a_rig_that_cannot_be_made_safe_is_a_failure(new_store: NewStore, rig: Any) -> None:
    def stuck() -> None:
        raise DeviceTimeout("scanner", "no answer to #24")

    rig.scanner.stop = stuck
    store = new_store()
    with pytest.raises(DeviceTimeout):
        acquire(store, rig)
    assert store.journal.events()[-1].kind == "run_failed"


def test_a_frame_that_comes_twice_is_not_taken_for_a_new_one(new_store: NewStore, rig: Any) -> None:
    snap = rig.camera.snap

    def frozen() -> Any:
        frame = snap()
        return Frame(frame.pixels, 2) if frame.number == 3 else frame

    rig.camera.snap = frozen
    store = new_store(on_failure={"protocol": "retry:1"})
    assert acquire(store, rig) is Outcome.COMPLETED
    assert [(a.tile, a.verdict) for a in attempts(store)][1:4] == [(1, "ok"), (2, "retry"), (2, "ok")]
    assert attempts(store)[2].reason == "camera: frame 2 came twice"


def test_a_tile_that_was_skipped_still_has_its_retries(new_store: NewStore, rig: Any) -> None:
    first = DeviceTimeout("camera", "no frame")
    errors = {2: first, 7: ProtocolError("camera", "garbage"), 8: ProtocolError("camera", "garbage")}
    calls = iter(range(1, 100))

    def fail() -> None:
        if error := errors.get(next(calls)):
            raise error

    rig.camera.before_snap = fail
    store = new_store(on_failure={"timeout": "skip", "protocol": "retry:2"})
    assert acquire(store, rig) is Outcome.COMPLETED
    assert [a.verdict for a in attempts(store) if a.tile == 1] == ["skipped", "retry", "retry", "ok"]


def test_a_scanner_without_z_will_do(new_store: NewStore, rig: Any) -> None:
    read = rig.scanner.read_position_um
    rig.scanner.read_position_um = lambda: {axis: um for axis, um in read().items() if axis != "z"}
    store = new_store()
    assert acquire(store, rig) is Outcome.COMPLETED
    assert {(a.target_z_um, a.actual_z_um) for a in attempts(store)} == {(None, None)}


def test_a_preparation_that_fails_is_tried_again_as_the_policy_says(new_store: NewStore, rig: Any) -> None:
    store = new_store()
    rig.scanner.before_move = fail_at({1, 2}, DeviceTimeout("scanner", "no answer"))
    assert acquire(store, rig) is Outcome.COMPLETED
    assert all(attempt.verdict == "ok" for attempt in attempts(store))


def test_a_preparation_that_keeps_failing_ends_the_run_before_any_tile(new_store: NewStore, rig: Any) -> None:
    store = new_store(on_failure={"come_back_s": 0})
    rig.scanner.before_move = fail_at({1, 2, 3, 4}, DeviceTimeout("scanner", "no answer"))
    with pytest.raises(DeviceTimeout):
        acquire(store, rig)
    assert attempts(store) == []
