"""The engine's loop: order, overlap of moving and storing, failures and their policies, a safe end."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import zarr

from acquisition.engine import Instructions, Outcome, run
from acquisition.journal import Attempt
from acquisition.run_store import RunStore
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout

NewStore = Callable[..., RunStore]


def acquire(store: RunStore, rig: Any, told: Instructions | None = None) -> Outcome:
    return run(store, rig, told or Instructions(), lambda attempt: None)


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
    assert [event.kind for event in store.journal.events()] == ["run_started", "run_ended"]
    assert rig.scanner.stops == 1


def test_comes_to_the_first_tile_in_the_positive_direction(new_store: NewStore, rig: Any) -> None:
    acquire(new_store(), rig)
    before, first = rig.scanner.moves[:2]
    assert before["x"] < first["x"]
    assert before["y"] < first["y"]


def test_moves_on_while_the_last_frame_is_written(new_store: NewStore, rig: Any) -> None:
    store = new_store()
    second_move = threading.Event()
    rig.camera.before_snap = lambda: second_move.set() if rig.camera.snaps == 1 else None
    waited: list[bool] = []
    write = store.raw.write

    def slow_write(*frame: Any) -> None:
        waited.append(second_move.wait(5))
        write(*frame)

    store.raw.write = slow_write  # type: ignore[method-assign]
    assert acquire(store, rig) is Outcome.COMPLETED
    assert all(waited)


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


def test_aborts_when_retries_are_used_up_and_leaves_the_rig_safe(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({2, 3, 4}, DeviceTimeout("camera", "no frame"))
    store = new_store(on_failure={"timeout": "retry:2"})
    with pytest.raises(DeviceTimeout):
        acquire(store, rig)
    assert [a.verdict for a in attempts(store)] == ["ok", "retry", "retry", "failed"]
    assert store.journal.events()[-1].data == {"outcome": "failed", "reason": "camera: no frame"}
    assert rig.scanner.stops == 1


def test_comes_back_once_to_what_it_skipped(new_store: NewStore, rig: Any) -> None:
    rig.scanner.before_move = fail_at({3, 4, 8}, DeviceRejected("scanner", "busy"))  # tile 1, tile 2, tile 1
    store = new_store(on_failure={"rejected": "skip"})
    assert acquire(store, rig) is Outcome.COMPLETED
    ended = {a.tile: a.verdict for a in attempts(store)}
    assert [a.tile for a in attempts(store)] == [0, 1, 2, 3, 4, 5, 1, 2]
    assert ended == {0: "ok", 1: "skipped", 2: "ok", 3: "ok", 4: "ok", 5: "ok"}


def test_a_lost_device_ends_the_run_at_once(new_store: NewStore, rig: Any) -> None:
    rig.camera.before_snap = fail_at({3}, DeviceLost("camera", "gone"))
    store = new_store()
    with pytest.raises(DeviceLost):
        acquire(store, rig)
    assert [a.verdict for a in attempts(store)] == ["ok", "ok", "failed"]


def test_stops_after_the_tile_under_way(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    rig.camera.before_snap = lambda: told.stop() if rig.camera.snaps == 2 else None
    store = new_store()
    assert acquire(store, rig, told) is Outcome.STOPPED
    assert [a.verdict for a in attempts(store)] == ["ok", "ok", "ok"]


def test_a_full_disk_ends_the_run_with_its_own_error(new_store: NewStore, rig: Any) -> None:
    store = new_store()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    store.raw.write = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        acquire(store, rig)
    assert attempts(store) == []
    assert store.journal.events()[-1].data["outcome"] == "failed"
    assert rig.scanner.stops == 1
