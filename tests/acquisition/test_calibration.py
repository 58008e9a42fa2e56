"""What becomes of a calibration's findings, and when a calibration is not to be trusted."""

from datetime import UTC, datetime, timedelta

import pytest

from acquisition.calibrate_force import SensitivityFit
from acquisition.calibrate_stage import SettleFit
from acquisition.calibration import Findings, calibrated, calibration_warnings, contradiction
from acquisition.camera_fit import CameraFit
from devices.camera_matrix import Matrix
from devices.rig_file import Backlash, Calibration, MeasuredOn, SettleTime, Uncertainty

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
UPRIGHT: Matrix = ((0.02, 0.0), (0.0, 0.02))
CAMERA = CameraFit(
    matrix_um=((0.02, -0.0002), (0.0002, 0.02)),
    pixel_size_um=0.020001,
    pixel_size_sd_um=4.1234e-6,
    rotation_deg=0.573,
    rotation_sd_deg=0.0123456,
    shear_deg=0.0,
    shear_sd_deg=0.024,
    backlash_um=(0.12, 0.11),
    backlash_sd_um=(0.0071234, 0.008),
    landing_um=0.04,
    pictures=200,
    steps=196,
    rejected=0,
)


def known(**changes: object) -> Calibration:
    written = {"pixel_size_um": 0.02, "frame_shape_px": (512, 512), "measured_at": NOW - timedelta(days=3)}
    return Calibration.model_validate(written | changes)


def test_what_was_measured_takes_the_place_of_what_there_was() -> None:
    found = Findings(
        NOW, CAMERA, {"x": SettleFit(0.017, 1e-4), "y": SettleFit(0.018, 2e-4)}, SensitivityFit(50.0, 0.2, 8.0, 80)
    )
    after = calibrated(known(backlash_um=Backlash(x=0.2, y=0.2)), found)
    assert after.camera_to_stage_um == CAMERA.matrix_um
    assert after.backlash_um == Backlash(x=0.12, y=0.11)
    assert after.settle_s == SettleTime(x=0.017, y=0.018)
    assert after.measured_at == NOW
    assert dict(after.measured_on) == dict.fromkeys(("backlash_um", "settle_s", "sensitivity_nm_per_v"), NOW)
    assert after.uncertainty.rotation_deg == 0.012  # two digits: more of it nobody knows
    assert after.uncertainty.sensitivity_nm_per_v == 0.2


def test_what_was_not_measured_stays() -> None:
    before = known(backlash_um=Backlash(x=0.2, y=0.2), uncertainty=Uncertainty(rotation_deg=0.03))
    after = calibrated(before, Findings(NOW, None, {}, None, {"camera and backlash": "dark"}))
    assert after == before


def test_what_was_not_measured_keeps_its_date() -> None:
    old = NOW - timedelta(days=60)
    before = known(measured_at=old, uncertainty=Uncertainty(sensitivity_nm_per_v=0.3))
    dark = calibrated(before, Findings(NOW, settling={"x": SettleFit(0.01, 1e-4), "y": SettleFit(0.01, 1e-4)}))
    assert (dark.measured_at, dark.measured_on.settle_s) == (old, NOW)
    without_force = calibrated(before, Findings(NOW, CAMERA))
    assert (without_force.measured_at, without_force.measured_on.sensitivity_nm_per_v) == (NOW, old)
    again = calibrated(without_force, Findings(NOW + timedelta(days=1), CAMERA))
    assert again.measured_on.sensitivity_nm_per_v == old
    (said,) = calibration_warnings(without_force, NOW)
    assert said == "calibration: sensitivity_nm_per_v is 60 days old; valid_days = 30"


def test_what_came_with_the_rig_has_no_date_to_grow_old() -> None:
    after = calibrated(known(backlash_um=Backlash()), Findings(NOW, sensitivity=None))
    assert after.measured_on == MeasuredOn()


def test_a_fresh_calibration_needs_no_warning() -> None:
    assert calibration_warnings(known(uncertainty=Uncertainty(pixel_size_um=4e-6, rotation_deg=0.012)), NOW) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"measured_at": None}, "calibration: never measured; run 'nanoraster calibrate --write'"),
        ({"measured_at": NOW - timedelta(days=31)}, "calibration: pixel_size_um is 31 days old; valid_days = 30"),
        (
            {"measured_at": NOW - timedelta(days=3), "valid_days": 2.0},
            "calibration: pixel_size_um is 3 days old; valid_days = 2",
        ),
        ({"measured_at": NOW + timedelta(days=1)}, "lies in the future"),
        ({"uncertainty": Uncertainty(pixel_size_um=1e-4)}, "pixel_size_um is known to 0.50% only; 0.2% are wanted"),
        ({"uncertainty": Uncertainty(rotation_deg=0.3)}, "rotation is known to 0.30 degrees only; 0.1 are wanted"),
    ],
)
def test_says_why_a_calibration_may_not_do(changes: dict[str, object], warning: str) -> None:
    (said,) = calibration_warnings(known(**changes), NOW)
    assert warning in said


@pytest.mark.parametrize(
    ("matrix", "part"),
    [
        (((0.021, 0.0), (0.0, 0.021)), "pixel_size_um = 0.02, measured 0.021"),
        (((0.02, -0.00035), (0.00035, 0.02)), "rotation 0.000 degrees, measured 1.003"),
    ],
)
def test_a_measurement_that_says_otherwise_is_a_contradiction(matrix: Matrix, part: str) -> None:
    said = contradiction(known(), matrix, Uncertainty(pixel_size_um=2e-5, rotation_deg=0.05))
    assert said is not None
    assert part in said


@pytest.mark.parametrize(
    ("matrix", "doubt"),
    [
        (UPRIGHT, Uncertainty()),
        (((0.02005, 0.0), (0.0, 0.02005)), Uncertainty()),  # 0.25 %: no plan suffers from it
        (((0.021, 0.0), (0.0, 0.021)), Uncertainty(pixel_size_um=4e-4)),  # 2.5 standard deviations
        (((0.02, -0.00035), (0.00035, 0.02)), Uncertainty(rotation_deg=0.5)),
    ],
)
def test_chance_and_trifles_are_none(matrix: Matrix, doubt: Uncertainty) -> None:
    assert contradiction(known(), matrix, doubt) is None


def test_a_turn_across_180_degrees_is_a_small_one() -> None:
    def turned(part: float) -> Matrix:
        return ((-0.02, part), (-part, -0.02))

    assert contradiction(known(camera_to_stage_um=turned(1e-5)), turned(-1e-5), Uncertainty()) is None
