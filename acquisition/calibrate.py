"""Measure what a rig file has to know about its rig: camera against stage, backlash, settling, and the cantilever."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from acquisition.calibrate_camera import PlaceUm, Room, is_enough, measure_camera, room_around
from acquisition.calibrate_force import ContactError, SensitivityFit, measure_sensitivity
from acquisition.calibrate_stage import SettleFit, measure_settling
from acquisition.calibration import Findings
from acquisition.camera_fit import CameraFit, Undetermined
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Cut, Instructions
from devices.errors import DeviceError
from devices.moves import refuse_outside
from devices.rig import Rig
from devices.settings import DeflectionSettings

SETTLING_STEP_FIELDS = 0.25
SETTLED_WITHIN_PX = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """How to calibrate."""

    at_um: PlaceUm | None = None  # None: around the present place
    exposure_s: float = 0.02
    force: bool = True
    force_limit_nn: float = 2000.0


class Interrupted(RuntimeError):
    """It was told to end; the rig is safe and back where it was."""


def calibrate(rig: Rig, wishes: Wishes, told: Instructions, say: Say, heart: Heartbeat | None = None) -> Findings:
    """Measure all that this rig allows; then the probe is retracted and the scanner back where it was.

    Args:
        say: gets a line before anything moves, and one for each thing that is done.
        heart: where signs of life are given to a guardian while the probe may touch; None: there is none.

    Raises:
        Interrupted: it was told to end.
        Undetermined: the limits leave no room.
        OutOfRange: the place asked for is outside them; nothing was moved.
        DeviceError: a device failed; the rig is safe, or a note says that it is not.
    """
    position_um = rig.scanner.read_position_um()
    home_um = position_um["x"], position_um["y"]
    settings = rig.settings.calibration
    if wishes.at_um is not None:
        refuse_outside(rig.scanner.name, dict(zip(("x", "y"), wishes.at_um, strict=True)), rig.scanner.limits_um)
    centre_um = wishes.at_um or home_um
    room = room_around(centre_um, rig.camera.frame_shape, settings.pixel_size_um, rig.scanner.limits_um)
    say(_announcement(rig, room, home_um, wishes))
    heart = heart or Heartbeat.unshared()
    try:
        with _back_at(rig, home_um, heart), rig.safe_on_exit(), told.cutting(rig.scanner.stop):
            return _measure_all(rig, room, wishes, told, say, heart)
    except (Cut, DeviceError) as error:
        if told.stopped and not getattr(error, "__notes__", None):
            raise Interrupted("interrupted; the probe is retracted and the scanner back where it was") from error
        raise


def _measure_all(rig: Rig, room: Room, wishes: Wishes, told: Instructions, say: Say, heart: Heartbeat) -> Findings:
    rig.retract()
    rig.camera.set_exposure_s(wishes.exposure_s)
    not_measured: dict[str, str] = {}
    camera = _camera(rig, room, told, say, not_measured)
    settling = _settling(rig, room, told, say)
    sensitivity = _sensitivity(rig, room, wishes, told, say, not_measured, heart)
    return Findings(datetime.now(UTC).replace(microsecond=0), camera, settling, sensitivity, not_measured)


def _camera(rig: Rig, room: Room, told: Instructions, say: Say, not_measured: dict[str, str]) -> CameraFit | None:
    likely_um = rig.settings.calibration.matrix_um
    try:
        fit = measure_camera(rig.scanner, rig.camera, room, likely_um, told, say)
    except Undetermined as error:
        not_measured["camera and backlash"] = str(error)
        return None
    if not is_enough(fit):
        say("camera: the stage scatters so much that the aim was not reached; see the uncertainties")
    return fit


def _settling(rig: Rig, room: Room, told: Instructions, say: Say) -> dict[str, SettleFit]:
    found = {}
    for axis, here_um in zip(("x", "y"), room.centre_um, strict=True):
        tolerance_um = SETTLED_WITHIN_PX * rig.settings.calibration.pixel_size_um
        step_um = SETTLING_STEP_FIELDS * room.side_um
        found[axis] = measure_settling(rig.scanner, axis, here_um, step_um, tolerance_um, told)
        say(f"{axis}: rests within half a pixel {found[axis].settle_s * 1000:.1f} ms after a step of {step_um:.3g} um")
    return found


def _sensitivity(
    rig: Rig,
    room: Room,
    wishes: Wishes,
    told: Instructions,
    say: Say,
    not_measured: dict[str, str],
    heart: Heartbeat,
) -> SensitivityFit | None:
    lever = rig.settings.devices.force
    if not wishes.force:
        not_measured["sensitivity"] = "not asked for"
    elif rig.force is None or not isinstance(lever, DeflectionSettings):
        not_measured["sensitivity"] = "the rig has no deflection sensor"
    elif "z" not in rig.scanner.axes:
        not_measured["sensitivity"] = "the scanner has no z"
    else:
        x_um, y_um = room.centre_um
        rig.scanner.move_to({"x": x_um, "y": y_um})
        say("force: approaching")
        try:
            fit = measure_sensitivity(rig.scanner, rig.force, lever, wishes.force_limit_nn, told, heart)
        except ContactError as error:
            not_measured["sensitivity"] = str(error)
            return None
        say(f"force: contact at z = {fit.contact_z_um:.3f} um, {fit.nm_per_v:.4g} +- {fit.sd_nm_per_v:.2g} nm/V")
        return fit
    return None


def _announcement(rig: Rig, room: Room, home_um: PlaceUm, wishes: Wishes) -> str:
    (left, right), (top, bottom) = room.x_um, room.y_um
    moves = f"moves the scanner within x {left:.4g}..{right:.4g} um, y {top:.4g}..{bottom:.4g} um"
    if rig.force is not None and "z" in rig.scanner.axes:
        low, high = rig.scanner.limits_um["z"]
        moves += ", with the probe retracted"
        if wishes.force:
            moves += f"; then z within {low:g}..{high:g} um until contact, at most {wishes.force_limit_nn:g} nN"
    return f"{moves}; back to x = {home_um[0]:.4g} um, y = {home_um[1]:.4g} um at the end"


@contextmanager
def _back_at(rig: Rig, home_um: PlaceUm, heart: Heartbeat) -> Iterator[None]:
    """Return to a place on leaving, with the probe retracted; an error in the block stays the one that is told."""
    try:
        yield
    except BaseException as error:
        try:
            _go_back(rig, home_um, heart)
        except DeviceError as trouble:
            error.add_note(f"and the scanner is not back where it was: {trouble}")
        raise
    _go_back(rig, home_um, heart)


def _go_back(rig: Rig, home_um: PlaceUm, heart: Heartbeat) -> None:
    """Go there sideways, but only with the probe known to be retracted; from then on nobody need guard it."""
    rig.retract()
    heart.engaged = False
    heart.force.rest()
    heart.take_note()
    limits_um = rig.scanner.limits_um
    targets_um = dict(zip(("x", "y"), home_um, strict=True))
    rig.scanner.move_to({axis: min(max(to, limits_um[axis][0]), limits_um[axis][1]) for axis, to in targets_um.items()})
