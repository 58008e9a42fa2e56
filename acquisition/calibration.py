"""What a calibration found, how it becomes the rig file's, and when the rig file's is not to be trusted any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import hypot

from acquisition.calibrate_force import SensitivityFit
from acquisition.calibrate_stage import SettleFit
from acquisition.camera_fit import CameraFit
from devices.camera_matrix import Matrix, pixel_size_um, rotation_deg
from devices.rig_file import Backlash, Calibration, MeasuredOn, SettleTime, Uncertainty

LARGE_PIXEL_SIZE = 0.002  # one standard deviation, as a part of it: half a pixel in a field of 256 is 0.2 %
LARGE_ROTATION_DEG = 0.1
DOUBTS_SDS = 4.0  # of both together; by chance once in 16,000 comparisons
LEAST_PIXEL_SIZE = 0.005  # differences below which no plan suffers: 2.5 pixels across a field of 512
LEAST_ROTATION_DEG = 0.2


@dataclass(frozen=True)
class Findings:
    """What was measured, and why the rest was not: by its name, the reason."""

    measured_at: datetime
    camera: CameraFit | None = None
    settling: Mapping[str, SettleFit] = field(default_factory=dict)
    sensitivity: SensitivityFit | None = None
    not_measured: Mapping[str, str] = field(default_factory=dict)


def calibrated(before: Calibration, found: Findings) -> Calibration:
    """Put what was found in the place of what there was; what was not measured stays, with its date."""
    changes: dict[str, object] = {}
    doubts: dict[str, object] = {}
    dates = {name: date or _date_in_common(before, name) for name, date in before.measured_on}
    if found.camera is not None:
        changes |= {
            "pixel_size_um": found.camera.pixel_size_um,
            "camera_to_stage_um": found.camera.matrix_um,
            "measured_at": found.measured_at,
        }
        doubts |= {
            "pixel_size_um": _readable(found.camera.pixel_size_sd_um),
            "rotation_deg": _readable(found.camera.rotation_sd_deg),
            "shear_deg": _readable(found.camera.shear_sd_deg),
        }
        if found.camera.backlash_um is not None and found.camera.backlash_sd_um is not None:
            changes["backlash_um"] = Backlash(**_by_axis(found.camera.backlash_um))
            doubts["backlash_um"] = Backlash(**_by_axis(map(_readable, found.camera.backlash_sd_um)))
            dates["backlash_um"] = found.measured_at
    if found.settling:
        changes["settle_s"] = SettleTime(**{axis: fit.settle_s for axis, fit in found.settling.items()})
        doubts["settle_s"] = SettleTime(**{axis: _readable(fit.sd_s) for axis, fit in found.settling.items()})
        dates["settle_s"] = found.measured_at
    if found.sensitivity is not None:
        doubts["sensitivity_nm_per_v"] = _readable(found.sensitivity.sd_nm_per_v)
        dates["sensitivity_nm_per_v"] = found.measured_at
    changes["measured_on"] = MeasuredOn(**dates)
    changes["uncertainty"] = before.uncertainty.model_copy(update=doubts)
    return Calibration.model_validate({**dict(before), **changes})


def calibration_warnings(calibration: Calibration, now: datetime) -> list[str]:
    """Why this calibration may not be good enough; nothing where it is.

    Args:
        now: with its time zone.
    """
    if calibration.measured_at is None:
        return ["calibration: never measured; run 'nanoraster calibrate --write'"]
    found = _doubtful_dates(calibration, now)
    doubt = calibration.uncertainty
    if doubt.pixel_size_um is not None and doubt.pixel_size_um > LARGE_PIXEL_SIZE * calibration.pixel_size_um:
        part = doubt.pixel_size_um / calibration.pixel_size_um
        found.append(f"calibration: pixel_size_um is known to {part:.2%} only; {LARGE_PIXEL_SIZE:.1%} are wanted")
    if doubt.rotation_deg is not None and doubt.rotation_deg > LARGE_ROTATION_DEG:
        found.append(
            f"calibration: the camera's rotation is known to {doubt.rotation_deg:.2f} degrees only; "
            f"{LARGE_ROTATION_DEG:g} are wanted"
        )
    return found


def _doubtful_dates(calibration: Calibration, now: datetime) -> list[str]:
    dates = {"pixel_size_um": calibration.measured_at, **dict(calibration.measured_on)}
    ages = {name: now - date for name, date in dates.items() if date is not None}
    old = [
        f"{name} is {age / timedelta(days=1):.0f} days old"
        for name, age in ages.items()
        if age > timedelta(days=calibration.valid_days)
    ]
    found = [f"calibration: {', '.join(old)}; valid_days = {calibration.valid_days:g}"] if old else []
    for name, age in ages.items():
        if age < timedelta(0):
            found.append(f"calibration: the date of {name}, {(now - age).isoformat()}, lies in the future")
    return found


def contradiction(calibration: Calibration, measured_um: Matrix, uncertainty: Uncertainty) -> str | None:
    """How a matrix that was measured differs from the calibrated one; None where it does not matter, or is chance.

    Args:
        uncertainty: of `pixel_size_um` and `rotation_deg` of the measured matrix; what it does not give counts as 0.
    """
    known, size_um = calibration.uncertainty, pixel_size_um(measured_um)
    said = []
    off_um = size_um - calibration.pixel_size_um
    sd_um = hypot(known.pixel_size_um or 0.0, uncertainty.pixel_size_um or 0.0)
    if abs(off_um) > max(DOUBTS_SDS * sd_um, LEAST_PIXEL_SIZE * calibration.pixel_size_um):
        said.append(f"pixel_size_um = {calibration.pixel_size_um:.6g}, measured {size_um:.6g} +- {sd_um:.1g}")
    off_deg = (rotation_deg(measured_um) - calibration.rotation_deg + 180.0) % 360.0 - 180.0
    sd_deg = hypot(known.rotation_deg or 0.0, uncertainty.rotation_deg or 0.0)
    if abs(off_deg) > max(DOUBTS_SDS * sd_deg, LEAST_ROTATION_DEG):
        measured_deg = calibration.rotation_deg + off_deg
        said.append(f"rotation {calibration.rotation_deg:.3f} degrees, measured {measured_deg:.3f} +- {sd_deg:.1g}")
    return f"calibration: {'; '.join(said)}" if said else None


def _date_in_common(calibration: Calibration, name: str) -> datetime | None:
    """Date what was measured by that of the camera, where it has no date of its own."""
    return calibration.measured_at if getattr(calibration.uncertainty, name) is not None else None


def _by_axis(pair: Iterable[float]) -> dict[str, float]:
    return dict(zip(("x", "y"), pair, strict=True))


def _readable(sd: float) -> float:
    """Two digits of an uncertainty; nobody knows more of it."""
    return float(f"{sd:.2g}")
