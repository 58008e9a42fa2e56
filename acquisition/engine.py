"""One plan on one rig: move, settle, expose, store. The next move starts while the last frame is being written."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from acquisition.journal import Attempt, utc_now
from acquisition.overlap import PlannedTile
from acquisition.plan import OnFailure
from acquisition.run_store import RunStore
from acquisition.write_behind import WriteBehind
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
        OSError: a frame could not be stored.
    """
    outcome, reason = Outcome.FAILED, ""
    store.journal.add_event("run_started")
    try:
        with WriteBehind(store.record, progress) as writer, rig.safe_on_exit():
            outcome = _acquire_all(store, rig, told, writer)
    except Exception as error:
        reason = str(error)
        raise
    finally:
        store.journal.add_event("run_ended", outcome=outcome, reason=reason)
    return outcome


def _acquire_all(store: RunStore, rig: Rig, told: Instructions, writer: WriteBehind) -> Outcome:
    on_failure, exposure_s = store.plan.on_failure, store.plan.camera.exposure_s
    rig.camera.set_exposure_s(exposure_s)
    z_um = rig.scanner.read_position_um()["z"]
    todo = deque(store.tiles())
    tries = dict.fromkeys(range(len(todo)), 0)
    come_back: set[PlannedTile] = set()
    _take_up_backlash(rig.scanner, todo[0])
    tile_began = time.perf_counter()
    while todo:
        if told.stopped:
            return Outcome.STOPPED
        tile = todo.popleft()
        tries[tile.index] += 1
        attempt = _begin(tile, tries[tile.index], z_um, exposure_s)
        pixels, failure = None, None
        try:
            attempt, pixels = _take(attempt, rig)
        except DeviceError as error:
            failure, policy = error, _policy(on_failure, error)
            if policy.startswith("retry") and tries[tile.index] <= int(policy.removeprefix("retry:")):
                verdict = "retry"
                todo.appendleft(tile)
            elif policy == "skip":
                verdict = "skipped"
                if tile not in come_back:
                    come_back.add(tile)
                    todo.append(tile)
            else:
                verdict = "failed"
            attempt = replace(attempt, verdict=verdict, reason=str(error))
        now = time.perf_counter()
        writer.put(replace(attempt, total_s=now - tile_began), pixels)
        tile_began = now
        if failure is not None and attempt.verdict == "failed":
            raise failure
    return Outcome.COMPLETED


def _take(attempt: Attempt, rig: Rig) -> tuple[Attempt, NDArray[np.uint16]]:
    """Bring the tile's centre under the camera and expose it once."""
    began = time.perf_counter()
    rig.scanner.move_to({"x": attempt.target_x_um, "y": attempt.target_y_um})
    settled = time.perf_counter()
    actual_um = rig.scanner.read_position_um()
    force_nn = rig.force.read_force_nn() if rig.force else None
    frame = rig.camera.snap()
    return replace(
        attempt,
        actual_x_um=actual_um["x"],
        actual_y_um=actual_um["y"],
        actual_z_um=actual_um["z"],
        force_nn=force_nn,
        mean=float(frame.pixels.mean()),
        sd=float(frame.pixels.std()),
        camera_frame=frame.number,
        settle_s=settled - began,
        verdict="ok",
    ), frame.pixels


def _begin(tile: PlannedTile, attempt: int, z_um: float, exposure_s: float) -> Attempt:
    return Attempt(
        tile=tile.index,
        attempt=attempt,
        row=tile.row,
        col=tile.col,
        started_at=utc_now(),
        target_x_um=tile.x_um,
        target_y_um=tile.y_um,
        target_z_um=z_um,
        exposure_s=exposure_s,
    )


def _take_up_backlash(scanner: Positioner, first: PlannedTile) -> None:
    """Come to the first tile in the positive direction on both axes, as far as the travel allows."""
    start_um = {"x": first.x_um - APPROACH_UM, "y": first.y_um - APPROACH_UM}
    scanner.move_to({axis: max(place_um, scanner.limits_um[axis][0]) for axis, place_um in start_um.items()})


def _policy(on_failure: OnFailure, error: DeviceError) -> str:
    match error:
        case DeviceTimeout():
            return on_failure.timeout
        case DeviceLost():
            return on_failure.lost
        case ProtocolError():
            return on_failure.protocol
    return on_failure.rejected
