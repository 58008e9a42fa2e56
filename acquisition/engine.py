"""One plan on one rig: move, settle, expose, store; or sweep row by row. Moves on while the last frame is written."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from itertools import groupby
from typing import TypeVar

from acquisition.journal import Attempt, JournalError, utc_now
from acquisition.overlap import PlannedTile
from acquisition.plan import OnFailure
from acquisition.run_store import RunStore
from acquisition.sweeps import APPROACH_UM, line_scan, middle_s, sweep_along
from acquisition.write_behind import Pixels, WriteBehind
from devices.errors import DeviceError, DeviceLost, DeviceTimeout, FrameRepeated, ProtocolError, Stopped
from devices.protocols import Frame, Positioner
from devices.rig import Rig

T = TypeVar("T")
Portion = list[PlannedTile]
Taken = tuple[Attempt, Pixels]


class Outcome(StrEnum):
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


class Instructions:
    """What the engine is told from other threads; it looks between two tiles, and during a sweep."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Finish the tile or break off the sweep under way, leave the rig safe, keep what was taken."""
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
    todo = deque(_portions(store))
    failures = _Failures(store.plan.on_failure)
    failures.overcome(lambda: rig.camera.set_exposure_s(store.plan.camera.exposure_s))
    failures.overcome(lambda: _take_up_backlash(rig.scanner, todo[0][0]))
    taking = failures.overcome(lambda: _Taking(rig, store, told))
    while todo:
        if told.stopped:
            return Outcome.STOPPED
        portion = todo.popleft()
        taken, failure = taking.take(portion)
        if told.stopped and isinstance(failure, Stopped):
            return Outcome.STOPPED  # its sweep was broken off, which is nothing against these tiles
        again: list[Portion] = []
        for tile, (attempt, pixels) in zip(portion, taken, strict=True):
            if failure is not None:
                attempt = replace(attempt, verdict=failures.verdict(tile, failure), reason=str(failure))
            writer.put(attempt, pixels)
            if attempt.verdict == "retry":
                again.append([tile])
            elif attempt.verdict == "skipped" and failures.skips[tile.index] == 1:
                todo.append([tile])
            elif attempt.verdict == "failed":
                assert failure is not None
                raise failure
        todo.extendleft(reversed(again))
    return Outcome.COMPLETED


def _portions(store: RunStore) -> list[Portion]:
    """What is taken in one go: a tile or, in line mode, a row of them; what fails there is tried again tile by tile."""
    tiles = store.tiles()
    if store.plan.tiles.mode == "step":
        return [[tile] for tile in tiles]
    return [list(row) for _, row in groupby(tiles, key=lambda tile: tile.row)]


class _Failures:
    """What becomes of a tile at which a device failed, by the plan's policy for that kind of failure."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._retries: Counter[int] = Counter()
        self.skips: Counter[int] = Counter()

    def overcome(self, preparation: Callable[[], T]) -> T:
        """Do what no tile can go without, again as often as the policy for its failure allows.

        Raises:
            DeviceError: it failed once more than that, or the policy is to skip or to abort.
        """
        failed = 0
        while True:
            try:
                return preparation()
            except DeviceError as failure:
                failed += 1
                if failed > _retries(self._policy(failure)):
                    raise

    def verdict(self, tile: PlannedTile, failure: DeviceError) -> str:
        """`retry`, `skipped` or, when the run is to end, `failed`."""
        policy = self._policy(failure)
        if policy == "skip":
            self.skips[tile.index] += 1
            return "skipped"
        if self._retries[tile.index] < _retries(policy):
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


def _retries(policy: str) -> int:
    """How often a policy allows to try again."""
    return int(policy.removeprefix("retry:")) if policy.startswith("retry:") else 0


class _Taking:
    """Takes portions of the plan one after the other, and keeps count of tries, time and frames."""

    def __init__(self, rig: Rig, store: RunStore, told: Instructions) -> None:
        self._rig = rig
        self._told = told
        self._plan = store.plan
        self._pixel_size_um = store.field.pixel_size_um
        self._z_um = rig.scanner.read_position_um().get("z")
        self._tries: Counter[int] = Counter()
        self._last_frame: int | None = None
        self._last_end = time.perf_counter()

    def take(self, portion: Portion) -> tuple[list[Taken], DeviceError | None]:
        """Take a tile by stepping there, several by sweeping over them; the attempts, and what went wrong if anything.

        A sweep counts as a whole: once a frame of it is missing, none can be told for sure from its neighbour.
        """
        began = [self._begin(tile) for tile in portion]
        taken: list[Taken] = [(attempt, None) for attempt in began]
        failure = None
        try:
            taken = self._sweep(portion, began) if len(portion) > 1 else [self._step(began[0])]
        except DeviceError as error:
            failure = error
        started, self._last_end = self._last_end, time.perf_counter()
        share_s = (self._last_end - started) / len(portion)
        return [(replace(attempt, total_s=share_s), pixels) for attempt, pixels in taken], failure

    def _begin(self, tile: PlannedTile) -> Attempt:
        self._tries[tile.index] += 1
        return Attempt(
            tile=tile.index,
            attempt=self._tries[tile.index],
            row=tile.row,
            col=tile.col,
            started_at=utc_now(),
            target_x_um=tile.x_um,
            target_y_um=tile.y_um,
            target_z_um=self._z_um,
            exposure_s=self._plan.camera.exposure_s,
        )

    def _step(self, attempt: Attempt) -> Taken:
        """Bring the tile's centre under the camera and expose it."""
        began = time.perf_counter()
        self._rig.scanner.move_to({"x": attempt.target_x_um, "y": attempt.target_y_um})
        settled = time.perf_counter()
        actual_um = self._rig.scanner.read_position_um()
        force_nn = self._rig.force.read_force_nn() if self._rig.force else None
        frame = self._rig.camera.snap()
        if frame.number == self._last_frame:
            raise FrameRepeated(self._rig.camera.name, f"frame {frame.number} came twice")
        return self._accepted(replace(attempt, force_nn=force_nn, settle_s=settled - began), actual_um, frame)

    def _sweep(self, row: Portion, attempts: Sequence[Attempt]) -> list[Taken]:
        """Let the scanner sweep over a row and fire the camera; it tells where it was half-way through an exposure."""
        delay_s = middle_s(self._plan.camera.exposure_s, self._rig.camera.skew_s)
        sweep = sweep_along([tile.x_um for tile in row], self._plan, self._pixel_size_um, delay_s)
        frames, places_um = line_scan(self._rig, row[0].y_um, sweep, delay_s, lambda: self._told.stopped)
        return [
            self._accepted(attempt, actual_um, frame)
            for attempt, actual_um, frame in zip(attempts, places_um, frames, strict=True)
        ]

    def _accepted(self, attempt: Attempt, actual_um: Mapping[str, float], frame: Frame) -> Taken:
        self._last_frame = frame.number
        return replace(
            attempt,
            actual_x_um=actual_um["x"],
            actual_y_um=actual_um["y"],
            actual_z_um=actual_um.get("z"),
            mean=float(frame.pixels.mean()),
            sd=float(frame.pixels.std()),
            camera_frame=frame.number,
            verdict="ok",
        ), frame.pixels


def _take_up_backlash(scanner: Positioner, first: PlannedTile) -> None:
    """Come to the first tile in the positive direction on both axes, as far as the travel allows."""
    start_um = {"x": first.x_um - APPROACH_UM, "y": first.y_um - APPROACH_UM}
    scanner.move_to({axis: max(place_um, scanner.limits_um[axis][0]) for axis, place_um in start_um.items()})
