"""The laboratory has the numbers that `docs/twin.md` gives; the other tests show that numbers have their effect."""

from functools import reduce
from pathlib import Path

import pytest

from hardware_sim.settings import NAMED

LAB = {
    "mechanics.time_constant_xy_s": 0.003,
    "mechanics.time_constant_z_s": 0.001,
    "mechanics.vibration_nm": 0.5,
    "mechanics.sensor_noise_nm": 0.3,
    "mechanics.drift_nm_per_min": 5.0,
    "mechanics.drift_z_nm_per_min": 3.0,
    "mechanics.linearity_error": 0.0001,
    "mechanics.hysteresis_nm": 2.0,
    "mechanics.position_error_px_rms": 3.0,
    "mechanics.backlash_px": 6.0,
    "mechanics.resonance_xy_hz": 340.0,
    "mechanics.headroom": 0.075,
    "specimen_tilt_mrad": (0.5, -0.3),
    "focus.start_mm": 50.0,
    "focus.encoder_um": 0.1,
    "focus.encoder_noise_um": 0.03,
    "focus.play_um": 1.0,
    "cantilever.stiffness_n_per_m": 42.0,
    "cantilever.sensitivity_nm_per_v": 50.0,
    "cantilever.sphere_radius_um": 28.5,
    "cantilever.work_of_adhesion_mj_per_m2": 50.0,
    "cantilever.meniscus_nn": 26_000.0,
    "cantilever.noise_mv": 0.3,
    "cantilever.laser_drift_mv_per_min": 0.3,
    "optics.wavelength_nm": 550.0,
    "optics.na": 0.55,
    "optics.magnification": 50.0,
    "optics.microsphere.magnification": 3.0,
    "optics.microsphere.field_um": 10.0,
    "optics.microsphere.sphere_index": 1.9,
    "optics.microsphere.distortion": 0.02,
    "optics.microsphere.vignetting": 0.35,
    "optics.coherent.wavelength_nm": 633.0,
    "camera.electrons_per_dn": 0.46,
    "camera.offset_dn": 100.0,
    "camera.full_well_e": 30_000.0,
    "camera.read_noise_median_e": 1.1,
    "camera.read_noise_rms_e": 1.5,
    "camera.hot_pixels": 0.0001,
    "camera.line_time_us": 9.17,
    "electron.escape_nm": 60.0,
    "electron.charging_dose_pc_per_um2": 10.0,
    "electron.charging_decay_s": 60.0,
    "electron.charging_shift_nm": 12.0,
    "electron.charging_shade": 0.05,
    "electron.line_jitter_px": 0.05,
    "electron.detector_time_constant_ns": 50.0,
}
PAGE = Path(__file__).parents[2] / "docs" / "twin.md"


@pytest.mark.parametrize("name", LAB)
def test_the_laboratory_has_the_number_of_the_table(name: str) -> None:
    assert reduce(getattr, name.split("."), NAMED["lab"]) == LAB[name]


def test_every_test_that_the_page_names_is_there() -> None:
    """Names end in an ellipsis where they are long; `::` stands for the file named before."""
    folder, file = Path(__file__).parent, ""
    named = 0
    for word in PAGE.read_text().split("`"):
        place, _, test = word.partition("::")
        if place.endswith(".py") and "test_" in place:
            file = (folder / place).read_text()
        if test.startswith("test_"):
            named += 1
            assert f"def {test.removesuffix('...').rstrip('_')}" in file, word
    assert named > 60
