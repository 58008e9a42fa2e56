"""Taking a tile, or a row of them: move, settle, expose; or sweep along and expose under way."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from acquisition.failures import given_up
from acquisition.instructions import Instructions
from acquisition.journal import Attempt, both_reasons
from acquisition.keeping import Keeping, Standing
from acquisition.overlap import PlannedTile
from acquisition.retakes import RetakeDesk
from acquisition.run_store import RunStore
from acquisition.sweeps import line_scan, middle_s, sweep_along
from acquisition.write_behind import Pixels
from devices.errors import DeviceError, DeviceRejected, FrameRepeated, Stopped
from devices.protocols import Frame
from devices.rig import Rig

Portion = list[PlannedTile]
Taken = tuple[Attempt, Pixels]


class ExposureRefused(DeviceRejected):
    """The camera does not expose for as long as a tile was wished to be exposed, and never will."""


class Taking:
    """Takes portions of the plan one after the other, and keeps count of tries, time and frames."""

    def __init__(
        self,
        rig: Rig,
        store: RunStore,
        told: Instructions,
        keeping: Keeping,
        desk: RetakeDesk,
        before_exposure: Callable[[], None],
    ) -> None:
        """Begin where the store's journal ends, with a camera that exposes as the plan says.

        Args:
            desk: knows the tiles that are taken again because somebody wants it so, and how long to expose them.
            before_exposure: called when the rig stands still and the next frame is about to be exposed.
        """
        self._rig = rig
        self._keeping = keeping
        self._told = told
        self._desk = desk
        self._before_exposure = before_exposure
        self._plan = store.plan
        self._exposure_s: float | None = store.plan.camera.exposure_s  # of the camera; None: not known
        self._clock = store.journal.clock
        self._pixel_size_um = store.field.pixel_size_um
        self._z_um = rig.scanner.read_position_um().get("z")
        self._z_follows = store.plan.focus.policy != "none" or store.plan.force.policy != "none"
        self._tries = store.attempts()
        self._last_frame: int | None = None
        self._last_end = time.perf_counter()
        self._attended_s = 0.0  # for the attempt under way

    def begin_counting(self) -> float:
        """Count the time of the next attempt from now on; what has passed uncounted, focus, drift and probe apart."""
        ended, self._last_end = self._last_end, time.perf_counter()
        attended_s, self._attended_s = self._attended_s, 0.0
        return self._last_end - ended - attended_s

    def take(self, portion: Portion, then: PlannedTile | None = None) -> tuple[list[Taken], DeviceError | None]:
        """Take a tile by stepping there, several by sweeping over them; the attempts, and what went wrong if anything.

        A sweep counts as a whole: once a frame of it is missing, none can be told for sure from its neighbour.

        Args:
            then: the tile that comes next whatever this one looks like; the scanner is on its way there on return.

        Raises:
            Cut: the engine was told something else meanwhile; nothing was taken, and no attempt counts.
        """
        began = [self._begin(tile, swept=len(portion) > 1) for tile in portion]
        taken: list[Taken] = [(attempt, None) for attempt in began]
        failure, ended = None, None
        try:
            taken = self._sweep(portion, began) if len(portion) > 1 else [self._step(portion[0], began[0])]
            self._keeping.see_held()
            ended = time.perf_counter()
            if then is not None:
                self._keeping.head_for(then)  # which counts for the next tile, as the move does
        except DeviceError as error:
            if self._told.interrupting:
                raise given_up(error) from error
            failure = error
        self._tries.update(tile.index for tile in portion)
        started, self._last_end = self._last_end, ended or time.perf_counter()
        self._attended_s = 0.0
        share_s = (self._last_end - started) / len(portion)
        return [(replace(attempt, total_s=share_s), pixels) for attempt, pixels in taken], failure

    def not_at_all(self, tile: PlannedTile) -> Attempt:
        """The attempt at a tile that is not even tried."""
        attempt = self._begin(tile)
        self._tries[tile.index] += 1
        return attempt

    def _begin(self, tile: PlannedTile, swept: bool = False) -> Attempt:
        retake = None if swept else self._desk.wanted(tile.index)  # a sweep exposes all its tiles alike
        return Attempt(
            tile=tile.index,
            attempt=self._tries[tile.index] + 1,
            row=tile.row,
            col=tile.col,
            started_at=self._clock.now(),
            target_x_um=tile.x_um,
            target_y_um=tile.y_um,
            target_z_um=self._z_um,
            exposure_s=self._plan.camera.exposure_s * (retake.exposure_factor if retake else 1.0),
            cause=retake.cause if retake else None,
            reason=retake.reason if retake else None,
            retake=retake.number if retake else None,
        )

    def _expose_for(self, exposure_s: float) -> None:
        """Set the camera's exposure, unless it is that already."""
        if exposure_s != self._exposure_s:
            self._exposure_s = None
            self._rig.camera.set_exposure_s(exposure_s)
            self._exposure_s = exposure_s

    def _expose_as_wished(self, exposure_s: float) -> None:
        try:
            self._expose_for(exposure_s)
        except Stopped:
            raise
        except DeviceRejected as refusal:
            if exposure_s == self._plan.camera.exposure_s:
                raise
            raise ExposureRefused(refusal.device, refusal.message) from refusal

    def _step(self, tile: PlannedTile, attempt: Attempt) -> Taken:
        """Bring the tile's centre under the camera, and expose it while place and force are read."""
        self._expose_for(self._plan.camera.exposure_s)  # also what focus and drift are measured with
        standing = self._keeping.bring_to(tile)
        self._attended_s = standing.attended_s
        if self._plan.tiles.dwell_s:
            self._keeping.exposing(self._plan.tiles.dwell_s)
            self._told.wait(self._plan.tiles.dwell_s)
        self._before_exposure()
        self._expose_as_wished(attempt.exposure_s)
        self._keeping.exposing(attempt.exposure_s)
        self._rig.camera.start_sequence(1)
        actual_um = self._rig.scanner.read_position_um()
        standing = self._keeping.read_force(standing)
        frame = self._rig.camera.next_frame()
        if frame.number == self._last_frame:
            raise FrameRepeated(self._rig.camera.name, f"frame {frame.number} came twice")
        settle_s = standing.moved_s + self._plan.tiles.dwell_s
        return self._accepted(self._at(tile, attempt, standing, settle_s), actual_um, frame)

    def _sweep(self, row: Portion, attempts: Sequence[Attempt]) -> list[Taken]:
        """Let the scanner sweep over a row and fire the camera; it tells where it was half-way through an exposure."""
        self._expose_for(self._plan.camera.exposure_s)
        standing = self._keeping.bring_to_row(row[0])
        self._attended_s = standing.attended_s
        standing = self._keeping.read_force(standing)
        delay_s = middle_s(self._plan.camera.exposure_s, self._rig.camera.skew_s)
        drift_x_um, drift_y_um = standing.drift_um
        sweep = sweep_along([tile.x_um + drift_x_um for tile in row], self._plan, self._pixel_size_um, delay_s)
        self._before_exposure()
        self._keeping.exposing(abs(sweep.to_um - sweep.from_um) / sweep.speed_um_per_s)
        began_s = time.perf_counter()
        frames, places_um = line_scan(self._rig, row[0].y_um + drift_y_um, sweep, delay_s)
        moved_s = standing.moved_s + time.perf_counter() - began_s
        settle_s = moved_s / len(row) - self._plan.camera.exposure_s
        shared = replace(standing, attended_s=standing.attended_s / len(row))
        return [
            self._accepted(self._at(tile, attempt, shared, settle_s), actual_um, frame)
            for tile, attempt, actual_um, frame in zip(row, attempts, places_um, frames, strict=True)
        ]

    def _at(self, tile: PlannedTile, attempt: Attempt, standing: Standing, settle_s: float) -> Attempt:
        drift_x_um, drift_y_um = standing.drift_um
        return replace(
            attempt,
            target_x_um=tile.x_um + drift_x_um,
            target_y_um=tile.y_um + drift_y_um,
            drift_x_um=drift_x_um,
            drift_y_um=drift_y_um,
            from_above=standing.from_above,
            force_nn=standing.force_nn,
            settle_s=settle_s,
            attending_s=standing.attended_s,
            reason=both_reasons(attempt.reason, standing.doubt),
        )

    def _accepted(self, attempt: Attempt, actual_um: Mapping[str, float], frame: Frame) -> Taken:
        self._last_frame = frame.number
        return replace(
            attempt,
            actual_x_um=actual_um["x"],
            actual_y_um=actual_um["y"],
            actual_z_um=actual_um.get("z"),
            target_z_um=actual_um.get("z") if self._z_follows else attempt.target_z_um,
            camera_frame=frame.number,
            verdict="ok",
        ), frame.pixels
