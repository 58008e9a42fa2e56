"""One plan on one rig: move, settle, expose, store. The next move starts while the last frame is being written."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from acquisition.journal import Attempt, JournalError, utc_now
from acquisition.overlap import PlannedTile
from acquisition.plan import OnFailure
from acquisition.run_store import RunStore
from acquisition.write_behind import Pixels, WriteBehind
from devices.errors import DeviceError, DeviceLost, DeviceTimeout, ProtocolError
from devices.protocols import Positioner
from devices.rig import Rig

APPROACH_UM = 1.0  # how far before the first tile the scanner comes from, to take up its backlash


class Outcome(StrEnum):
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


class Instructions:
    """What the engine is told from other threads; it looks between two tiles."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Finish the tile under way, leave the rig safe, keep what was taken."""
        self._stop.set()


def run(store: RunStore, rig: Rig, told: Instructions, progress: Callable[[Attempt], None]) -> Outcome:
    """Acquire every tile of the store's plan; leave the rig safe, however it ends.

    `progress` is called, from the writing thread, with each attempt once it is durable.

    Raises:
        DeviceError: a device failed and the plan's policy for it is to abort; the journal says which and why.
        OSError: a frame or a line of the journal could not be stored.
    """
    store.journal.add_event("run_started")
    try:
        with WriteBehind(store.record, progress) as writer, rig.safe_on_exit():
            outcome = _acquire_all(store, rig, told, writer)
    except Exception as error:
        with suppress(JournalError):  # it may be what failed; then that is the error to tell
            store.journal.add_event("run_ended", outcome=Outcome.FAILED, reason=str(error))
        raise
    store.journal.add_event("run_ended", outcome=outcome, reason="")
    return outcome


def _acquire_all(store: RunStore, rig: Rig, told: Instructions, writer: WriteBehind) -> Outcome:
    rig.camera.set_exposure_s(store.plan.camera.exposure_s)
    todo = deque(store.tiles())
    _take_up_backlash(rig.scanner, todo[0])
    taking = _Taking(rig, store.plan.camera.exposure_s)
    failures = _Failures(store.plan.on_failure)
    while todo:
        if told.stopped:
            return Outcome.STOPPED
        tile = todo.popleft()
        attempt, pixels, failure = taking.take(tile)
        if failure is not None:
            attempt = replace(attempt, verdict=failures.verdict(tile, failure), reason=str(failure))
        writer.put(attempt, pixels)
        match attempt.verdict:
            case "retry":
                todo.appendleft(tile)
            case "skipped" if failures.skips[tile.index] == 1:
                todo.append(tile)
            case "failed":
                assert failure is not None
                raise failure
    return Outcome.COMPLETED


class _Failures:
    """What becomes of a tile at which a device failed, by the plan's policy for that kind of failure."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._retries: Counter[int] = Counter()
        self.skips: Counter[int] = Counter()

    def verdict(self, tile: PlannedTile, failure: DeviceError) -> str:
        """`retry`, `skipped` or, when the run is to end, `failed`."""
        policy = self._policy(failure)
        if policy == "skip":
            self.skips[tile.index] += 1
            return "skipped"
        if policy.startswith("retry:") and self._retries[tile.index] < int(policy.removeprefix("retry:")):
            self._retries[tile.index] += 1
            return "retry"
        return "failed"

    def _policy(self, failure: DeviceError) -> str:
        match failure:
            case DeviceTimeout():
                return self._on_failure.timeout
            case DeviceLost():
                return self._on_failure.lost
            case ProtocolError():
                return self._on_failure.protocol
        return self._on_failure.rejected


class _Taking:
    """Takes tiles one after the other, and keeps count of tries, time and frames."""

    def __init__(self, rig: Rig, exposure_s: float) -> None:
        self._rig = rig
        self._exposure_s = exposure_s
        self._z_um = rig.scanner.read_position_um().get("z")
        self._tries: Counter[int] = Counter()
        self._last_frame: int | None = None
        self._last_end = time.perf_counter()

    def take(self, tile: PlannedTile) -> tuple[Attempt, Pixels, DeviceError | None]:
        """Take a tile once; the attempt, its frame, and what went wrong if anything did."""
        self._tries[tile.index] += 1
        attempt = Attempt(
            tile=tile.index,
            attempt=self._tries[tile.index],
            row=tile.row,
            col=tile.col,
            started_at=utc_now(),
            target_x_um=tile.x_um,
            target_y_um=tile.y_um,
            target_z_um=self._z_um,
            exposure_s=self._exposure_s,
        )
        pixels, failure = None, None
        try:
            attempt, pixels = self._expose(attempt)
        except DeviceError as error:
            failure = error
        began, self._last_end = self._last_end, time.perf_counter()
        return replace(attempt, total_s=self._last_end - began), pixels, failure

    def _expose(self, attempt: Attempt) -> tuple[Attempt, NDArray[np.uint16]]:
        """Bring the tile's centre under the camera and expose it."""
        began = time.perf_counter()
        self._rig.scanner.move_to({"x": attempt.target_x_um, "y": attempt.target_y_um})
        settled = time.perf_counter()
        actual_um = self._rig.scanner.read_position_um()
        force_nn = self._rig.force.read_force_nn() if self._rig.force else None
        frame = self._rig.camera.snap()
        if frame.number == self._last_frame:
            raise ProtocolError(self._rig.camera.name, f"frame {frame.number} came twice")
        self._last_frame = frame.number
        return replace(
            attempt,
            actual_x_um=actual_um["x"],
            actual_y_um=actual_um["y"],
            actual_z_um=actual_um.get("z"),
            force_nn=force_nn,
            mean=float(frame.pixels.mean()),
            sd=float(frame.pixels.std()),
            camera_frame=frame.number,
            settle_s=settled - began,
            verdict="ok",
        ), frame.pixels


def _take_up_backlash(scanner: Positioner, first: PlannedTile) -> None:
    """Come to the first tile in the positive direction on both axes, as far as the travel allows."""
    start_um = {"x": first.x_um - APPROACH_UM, "y": first.y_um - APPROACH_UM}
    scanner.move_to({axis: max(place_um, scanner.limits_um[axis][0]) for axis, place_um in start_um.items()})
