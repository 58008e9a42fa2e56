"""What is kept right while tiles are taken: the place on the specimen, its focus, and the force on the probe."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

from acquisition.drift import DriftControl
from acquisition.focus import FocusControl
from acquisition.force import ForceReadings, force_control
from acquisition.force_errors import StillTouches
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.overlap import PlannedTile
from acquisition.places import Aim
from acquisition.run_store import RunStore
from acquisition.steps import Overcome, Steps, once
from devices.errors import DeviceError, Stopped
from devices.rig import Rig
from devices.troubles import overcoming

MOVE_S = 30.0
"""Longest time that a step of the engine may take without a sign of life; each has a deadline of its own below this."""
APPROACH_S = 600.0
"""For an approach over the whole way that a plan allows; near the specimen the force loop has a pulse of its own."""
Note = Callable[..., None]


@dataclass(frozen=True)
class Standing:
    """How the rig stands at a tile that is about to be exposed."""

    target_um: tuple[float, float]  # x, y of the scanner, drift included
    drift_um: tuple[float, float]
    from_above: str  # axes that came there downwards
    force_nn: float | None
    moved_s: float  # it took to move sideways and settle
    attended_s: float  # it took for focus, drift and probe
    doubt: str | None  # what is doubtful about its focus, though it can be exposed


class Keeping:
    """Brings the rig to one tile after the other; a context manager that leaves the probe retracted."""

    def __init__(
        self,
        store: RunStore,
        rig: Rig,
        told: Instructions,
        note: Note,
        heart: Heartbeat,
        overcome: Overcome = once,
    ) -> None:
        """Take the rig in hand, and move nothing; `overcome` does each step of a preparation until it succeeds.

        Raises:
            DeviceError: a stage does not tell where it is.
        """
        self._steps = Steps(overcome)
        history = store.journal.events()
        tiles = store.tiles()
        self._rig = rig
        self._told = told
        self._heart = heart
        self._has_probe_policy = store.plan.force.policy != "none"
        self._plan = store.plan
        self._force: ForceReadings = force_control(rig, store.plan.force, told, note, heart)
        picture = partial(self.exposing, store.plan.camera.exposure_s)
        self._focus = FocusControl(rig, store.plan, tiles, told, note, history, beat=picture, steps=self._steps)
        fields_um = [(tile.x_um, tile.y_um) for tile in tiles]
        self._drift = DriftControl(
            rig,
            store.plan,
            store.field.matrix_um,
            fields_um,
            told,
            note,
            store.path,
            history,
            beat=picture,
            steps=self._steps,
        )
        self._aim = Aim(rig.settings.model_dump(mode="json"), rig.scanner.limits_um)
        self._last_row: int | None = None
        self._heading_um: tuple[float, float] | None = None
        self._headed_with = (-1, (0.0, 0.0))  # index of the tile that is headed for, and its drift
        self._left_s = 0.0

    def __enter__(self) -> Self:
        self._force.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._force.__exit__(kind, error, trace)
        finally:
            self._lift_back(error)

    def prepare(self, first: PlannedTile) -> None:
        """Measure what the policies want to know, and stand ready for the first tile, with the probe retracted.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed, and the run is to end with it.
        """
        with self._steps.insisting():
            self._still_at_work()
            self._steps(self._force.release)
            self._focus.prepare()
            if self._plan.drift.policy != "none":
                if self._plan.focus.policy != "none":
                    self._steps(lambda: self._rig.scanner.move_to({"x": first.x_um, "y": first.y_um}))
                    self._focus.at_tile(first, first_of_row=True)
                self._drift.prepare()
            below_um = self._aim.set_out_below(first.x_um, first.y_um)
            self._steps(lambda: self._rig.scanner.move_to(below_um))
        self._aim.arrive()
        self._last_row = self._heading_um = None

    def bring_to(self, tile: PlannedTile) -> Standing:
        """Move to a tile and make all right there; returns when it can be exposed.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed, the trip-wire retracted the probe, or there is no contact.
        """
        if self._heart.retracted:
            self._force.release()
            self._heart.take_note()
        began_s = time.perf_counter()
        self._follow_drift()
        drift_um = self._drift_at(tile)
        target_um = tile.x_um + drift_um[0], tile.y_um + drift_um[1]
        self._still_at_work()
        self._force.before_step()
        attended_s = time.perf_counter() - began_s
        moved_s = self._go_to(target_um)
        arrived_s = time.perf_counter()
        self._still_at_work()
        doubt = self._focus.at_tile(tile, first_of_row=tile.row != self._last_row)
        self._last_row = tile.row
        if self._has_probe_policy:
            self._beat(APPROACH_S)
        force_nn = self._force.at_tile() if self._has_probe_policy else None
        attended_s += time.perf_counter() - arrived_s
        return Standing(target_um, drift_um, self._aim.from_above, force_nn, moved_s, attended_s, doubt)

    def bring_to_row(self, first: PlannedTile) -> Standing:
        """Bring the rig to the first tile of a row that will be swept: always from below, and it does not stay there.

        Raises:
            Cut, DeviceError: as `bring_to`.
        """
        self._aim.leave()
        standing = self.bring_to(first)
        self._aim.leave()
        return standing

    def head_for(self, tile: PlannedTile) -> None:
        """Begin to move to the tile that comes next for sure; `bring_to` waits for it, or does it if this failed."""
        if self._has_probe_policy or self._drift.due() or self._told.waiting or self._told.interrupting:
            return
        if not self._aim.is_set:
            return
        drift_um = self._drift.offset_um
        target_um = tile.x_um + drift_um[0], tile.y_um + drift_um[1]
        self._still_at_work()
        with overcoming(DeviceError):
            self._left_s = time.perf_counter()
            self._rig.scanner.start_move(self._aim.set_out(*target_um))
            self._heading_um, self._headed_with = target_um, (tile.index, drift_um)

    def read_force(self, standing: Standing) -> Standing:
        """Enter the force of this moment where none is held, nor was measured before."""
        return standing if self._has_probe_policy else replace(standing, force_nn=self._force.at_tile())

    def see_held(self) -> None:
        """See that the probe was held while something was exposed.

        Raises:
            DeviceError: the trip-wire or a stop has retracted it meanwhile.
        """
        self._force.see_held()

    def exposing(self, for_s: float) -> None:
        """Tell the guardian that nothing else will happen for so long."""
        self._beat(for_s + MOVE_S)

    def rest(self) -> None:
        """Let go of the specimen, and let the guardian expect nothing; the next tile approaches anew.

        Raises:
            DeviceError: the probe could not be retracted, or the stage that carries it not be lifted.
        """
        try:
            self._force.release()
        except StillTouches:
            self._heart.rest()  # z is where the guardian would send it
            raise
        self._heart.rest()
        self._focus.lift_back()

    def _lift_back(self, error: BaseException | None) -> None:
        """Take a probe that was lowered for the focus back up; an earlier error stays the one that is told."""
        try:
            self._focus.lift_back()
        except DeviceError as trouble:
            if error is None:
                raise
            error.add_note(f"and {trouble}")

    def _drift_at(self, tile: PlannedTile) -> tuple[float, float]:
        """The drift that a tile is taken with: one value, also while it is extrapolated in time."""
        if self._heading_um is not None and self._headed_with[0] == tile.index:
            return self._headed_with[1]
        return self._drift.offset_um

    def _go_to(self, target_um: tuple[float, float]) -> float:
        """Move to a target, or wait for the move that leads there; how long ago that began."""
        if not self._has_arrived(target_um):
            self._left_s = time.perf_counter()
            if not self._aim.is_set:
                self._force.move_to(self._aim.set_out_below(*target_um))
                self._aim.arrive()
            self._force.move_to(self._aim.set_out(*target_um))
        self._aim.arrive()
        return time.perf_counter() - self._left_s

    def _has_arrived(self, target_um: tuple[float, float]) -> bool:
        """Wait for the move under way, if it leads to the target; False where it leads elsewhere, or was stopped."""
        heading_um, self._heading_um = self._heading_um, None
        if heading_um != target_um:
            return False
        try:
            self._rig.scanner.wait_settled()
        except Stopped:
            if self._told.interrupting:
                raise
            return False
        return True

    def _follow_drift(self) -> None:
        if not self._drift.due():
            return
        self._heading_um = None
        self._aim.leave()
        self._still_at_work()
        if self._has_probe_policy:
            self._force.release()
        self._drift.measure()

    def _still_at_work(self) -> None:
        self._beat(MOVE_S)

    def _beat(self, longer_s: float) -> None:
        self._heart.engine.beat(longer_s)
