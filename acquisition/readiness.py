"""Everything that stands against a run, found before it begins and told at once; what is only doubtful is a warning.

A gate that cries wolf is switched off: what a healthy rig may show on any day is neither.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from acquisition.calibration import calibration_warnings
from acquisition.clock_check import HOST_CLOCKS, Clocks, watching
from acquisition.disk_trial import Trial, standing_part, try_disk
from acquisition.drift import drift_problems
from acquisition.field import Field
from acquisition.focus_axis import focus_inabilities, focus_problems, focus_warnings
from acquisition.force_budget import force_inabilities, force_problems
from acquisition.interlocks import standing, with_disk_floor
from acquisition.layout import beyond_limits, camera_area, layout
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan, PlanError
from acquisition.preflight import (
    BYTES_PER_PIXEL,
    MOSAIC_SHARE,
    SETTLE_ALLOWANCE_S,
    Cost,
    cost,
    inabilities,
    problems,
    sweep_problems,
)
from acquisition.sweeps import APPROACH_UM
from devices.errors import DeviceError, DeviceRejected
from devices.rig import Rig, RigSettings
from devices.self_test import check_open_rig
from devices.troubles import overcome

TRIAL_FRAMES = 3
OUTSIDE_SHARE = 0.02
"""Of its travel by which an axis may stand outside it: an amplifier reaches further than the loop."""
NEARLY_FULL = 0.8
"""Of the free space: beyond it, the estimate is not good enough to be calm."""
WITHOUT_END = 2**63


class InterlocksStand(PlanError):
    """A run may not begin now, for an interlock stands against it; once that has cleared it may."""


@dataclass(frozen=True)
class Findings:
    """What stands against a run, what is doubtful about it, and what it will cost as far as that can be told."""

    problems: list[str]
    warnings: list[str]
    cost: Cost | None
    interlocks: list[str] = field(default_factory=list)
    """Those that stand against it now, whatever the plan."""

    def refuse(self) -> None:
        """Keep a run from beginning now that may not.

        Raises:
            InterlocksStand, PlanError: with every reason.
        """
        if self.interlocks:
            raise InterlocksStand([*self.problems, *self.interlocks])
        if self.problems:
            raise PlanError(self.problems)


def check(
    plan: Plan, settings: RigSettings, out: Path, rig: Rig | None = None, clocks: Clocks = HOST_CLOCKS
) -> Findings:
    """Find every reason against acquiring a plan into the folder `out`; moves nothing.

    Without an open rig no device is asked, and no frame is tried on the disk: then the estimates are the rig file's.
    """
    if plan.follows_video:
        return Findings(["region.follows = 'video': such a run is taken by `nanoraster video --rig`"], [], None)
    gate = _Gate(plan, settings, out, rig)
    with watching(clocks, gate.warnings):
        return gate.findings()


def check_rest(
    plan: Plan, field: Field, rest: Sequence[PlannedTile], settings: RigSettings, rig: Rig, run: Path
) -> Findings:
    """Find every reason against going on with a run of which the tiles `rest` are left.

    Nothing is moved, exposed or written. What a device cannot do any more its preparation tells, and is tried again as
    the plan says. Interlocks that only pause a run are not asked: the run pauses by them, and goes on when they clear.
    """
    limits_um = rig.scanner.limits_um
    found = []
    if tile := beyond_limits(rest, limits_um):
        travel = ", ".join(f"{axis} {limits_um[axis][0]:g}..{limits_um[axis][1]:g}" for axis in "xy")
        found.append(f"tile {tile.index} lies at ({tile.x_um:g}, {tile.y_um:g}) um, outside the travel {travel} um")
    else:
        found += inabilities(plan, field, rig.scanner, rig.camera)
    found += drift_problems(plan, limits_um)
    found += focus_problems(plan, settings) or focus_inabilities(plan, rig)
    found += force_problems(plan, settings) or force_inabilities(plan, rig)
    wrong, doubtful = interlocks_now(settings, run, rig, begun=True)
    return Findings(found, doubtful, None, wrong)


def interlocks_now(
    settings: RigSettings, out: Path, rig: Rig | None = None, begun: bool = False
) -> tuple[list[str], list[str]]:
    """What stands against a run in `out`, and what is only to be warned of; of a closed rig no device is asked.

    Args:
        begun: it is to go on; those that only pause it let it, and hold it then.
    """
    disk = shutil.disk_usage(standing_part(out))
    rules = with_disk_floor(settings.interlocks, disk.total)
    asked = [rule for rule in rules if not (begun and rule.action in ("pause", "retract"))]
    return standing(asked, rig, lambda: disk.free)


class _Gate:
    """One check, under way."""

    def __init__(self, plan: Plan, settings: RigSettings, out: Path, rig: Rig | None) -> None:
        self._plan = plan
        self._settings = settings
        self._out = out
        self._rig = rig
        _, self._field = camera_area(plan, Field.calibrated(settings.calibration))
        self._disk = shutil.disk_usage(standing_part(out))
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.interlocks: list[str] = []

    def findings(self) -> Findings:
        self._judge_out()
        laid_out = self._judge_positions()
        self._judge_focus_and_force()
        self.warnings += calibration_warnings(self._settings.calibration, datetime.now(UTC))
        self.interlocks, doubtful = interlocks_now(self._settings, self._out, self._rig)
        self.warnings += doubtful
        costs = cost(self._plan, self._field, self._settle_s()) if laid_out else None
        if self._rig is not None:
            self._judge_devices(self._rig)
            if costs is not None:
                self._judge_longer_exposure(self._rig)
                costs = self._judge_disk(self._rig, costs)
        return Findings(self.problems, self.warnings, costs, self.interlocks)

    def _judge_out(self) -> None:
        if self._out.is_file():
            self.problems.append(f"output folder in use: {self._out} is a file")
        elif self._out.is_dir() and any(self._out.iterdir()):
            self.problems.append(f"output folder in use: {self._out} is not empty")

    def _judge_positions(self) -> bool:
        """Hold the plan against the limits, the controller's where they are known; whether it can be laid out."""
        scanner = self._settings.devices.scanner
        limits_um = self._rig.scanner.limits_um if self._rig else getattr(scanner, "limits_um", {})
        found = problems(self._plan, limits_um, WITHOUT_END, self._field)
        if found or self._rig is None:  # else a trial judges the disk
            found = problems(self._plan, limits_um, self._disk.free, self._field)
        if not found and self._rig is not None:
            found = inabilities(self._plan, self._field, self._rig.scanner, self._rig.camera)
        elif not found and (ends_um := getattr(scanner, "sweep_ends_um", None)) is not None:
            skew_s = getattr(self._settings.devices.camera, "skew_s", 0.0)
            found = sweep_problems(self._plan, limits_um, self._field, skew_s, ends_um)
        self.problems += found + drift_problems(self._plan, limits_um)
        if not found:
            self._judge_approach(limits_um)
        return not found

    def _judge_focus_and_force(self) -> None:
        """Say what the rig file alone is against; only where it is for the plan, ask the open rig."""
        focus, force = focus_problems(self._plan, self._settings), force_problems(self._plan, self._settings)
        if self._rig is not None:
            focus = focus or focus_inabilities(self._plan, self._rig)
            force = force or force_inabilities(self._plan, self._rig)
        self.problems += focus + force
        self.warnings += [] if focus else focus_warnings(self._plan, self._settings)

    def _judge_approach(self, limits_um: Mapping[str, tuple[float, float]]) -> None:
        """Warn where the first tile leaves no room to come to it from below, and the scanner has a backlash."""
        backlash_um = self._settings.calibration.backlash_um
        first = layout(self._plan, self._field)[0]
        for axis, place_um in (("x", first.x_um), ("y", first.y_um)):
            low_um = limits_um.get(axis, (place_um - APPROACH_UM, place_um))[0]
            if backlash_um is not None and getattr(backlash_um, axis) and place_um - APPROACH_UM < low_um:
                self.warnings.append(
                    f"{self._plan.region.key(axis)}: the first tile, at {place_um:g} um, is within {APPROACH_UM:g} um "
                    f"of the scanner's lower limit {low_um:g} um; its backlash cannot be taken up there"
                )

    def _judge_devices(self, rig: Rig) -> None:
        self.problems += [found.found for found in check_open_rig(rig) if not found.ok]
        try:
            position_um = rig.scanner.read_position_um()
        except DeviceError as error:
            overcome(error)  # its own test tells what does not pass
            return
        for axis, (low_um, high_um) in rig.scanner.limits_um.items():
            margin_um = OUTSIDE_SHARE * (high_um - low_um)
            if not low_um - margin_um <= position_um[axis] <= high_um + margin_um:
                place_um = position_um[axis]
                self.warnings.append(
                    f"scanner: {axis} = {place_um:g} um is outside {low_um:g}..{high_um:g} um; is its servo on?"
                )

    def _judge_longer_exposure(self, rig: Rig) -> None:
        """Ask the camera whether it can expose as long as doubtful tiles would be."""
        times = self._plan.quality.doubtful_exposure
        if times is None:
            return
        try:
            rig.camera.set_exposure_s(times * self._plan.camera.exposure_s)
        except DeviceRejected as refusal:
            self.problems.append(f"quality.doubtful_exposure = {times:g}: {refusal}")
        except DeviceError as error:
            overcome(error)

    def _judge_disk(self, rig: Rig, costs: Cost) -> Cost:
        """Try a few frames on the disk; the cost as it follows from them."""
        plan, field = self._plan, self._field
        try:
            rig.camera.set_exposure_s(plan.camera.exposure_s)
            frames = [rig.camera.snap().pixels for _ in range(TRIAL_FRAMES)]
            trial = try_disk(self._out, frames, plan.storage.compression)
        except DeviceRejected as refusal:
            self.problems.append(f"camera.exposure_ms = {plan.camera.exposure_ms:g}: {refusal}")
            return costs
        except DeviceError as error:
            overcome(error)  # its own test tells what does not pass; this may be one lost frame
            return costs
        except OSError as error:
            self.problems.append(f"disk: {standing_part(self._out)} cannot be written: {error.strerror or error}")
            return costs
        raw_bytes = field.shape_px[0] * field.shape_px[1] * BYTES_PER_PIXEL
        needed = round(costs.tiles * raw_bytes * (trial.stored_part + MOSAIC_SHARE))
        self._judge_space(needed)
        self._judge_speed(trial, costs)
        return replace(costs, disk_bytes=needed)

    def _judge_space(self, needed: int) -> None:
        said = f"disk: the run needs about {needed / 1e6:.0f} MB, {self._disk.free / 1e6:.0f} MB are free"
        if needed > self._disk.free:
            self.problems.append(said)
        elif needed > NEARLY_FULL * self._disk.free:
            self.warnings.append(said)

    def _judge_speed(self, trial: Trial, costs: Cost) -> None:
        wanted_per_s = costs.tiles / costs.duration_s
        if trial.frames_per_s < wanted_per_s:
            self.warnings.append(
                f"disk: it takes {trial.frames_per_s:.3g} frames a second, the plan makes {wanted_per_s:.3g}; "
                f"the scan will wait for it"
            )

    def _settle_s(self) -> float:
        settling = self._settings.calibration.settle_s
        return max(settling.x, settling.y) if settling else SETTLE_ALLOWANCE_S
