"""The virtual image of a microsphere: its magnification, its window, its point spread and what the gap costs."""

import numpy as np
import pytest

from hardware_sim.microsphere import near_field_fwhm_um, near_field_reach_um
from hardware_sim.optics import Microscope
from hardware_sim.settings import CameraSettings, MicrosphereSettings, OpticsSettings, load_world
from hardware_sim.specimen import Specimen

LENS = load_world("superlens").optics
EVEN = LENS.model_copy(update={"microsphere": MicrosphereSettings(distortion=0.0, vignetting=0.0)})
MIDDLE_UM = 10.0


def specimen_of(reflectance: np.ndarray, pixel_um: float = 0.02) -> Specimen:
    coarse = np.zeros(tuple(side // 4 for side in reflectance.shape), dtype=np.float32)
    return Specimen("drawn", pixel_um, reflectance.astype(np.float32), coarse)


def plain(grey: float = 0.5) -> Specimen:
    return specimen_of(np.full((1000, 1000), grey))


def dots(offsets_um: list[float]) -> Specimen:
    """Bright points on a row through the middle, as small as a pixel."""
    reflectance = np.zeros((1001, 1001))
    for offset_um in offsets_um:
        reflectance[500, 500 + round(offset_um / 0.02)] = 1.0
    return specimen_of(reflectance)


def grating(period_um: float) -> Specimen:
    row = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(1000) * 0.02 / period_um)
    return specimen_of(np.tile(row, (1000, 1)))


def seen(specimen: Specimen, optics: OpticsSettings, gap_um: float = 0.0, defocus_um: float = 0.0) -> np.ndarray:
    return Microscope(specimen, CameraSettings(), optics).render(MIDDLE_UM, MIDDLE_UM, defocus_um, gap_um).astype(float)


def peaks_px(image: np.ndarray) -> np.ndarray:
    """Columns of the bright points in the middle rows, to a part of a pixel (centre of mass over five columns)."""
    line = image[253:259].sum(axis=0)
    # no point is as near to another as six columns
    tops = [c for c in range(4, line.size - 4) if line[c] == line[c - 3 : c + 4].max() and line[c] > 0.3 * line.max()]
    around = np.arange(-2, 3)
    return np.array([c + (around * line[c - 2 : c + 3]).sum() / line[c - 2 : c + 3].sum() for c in tops])


def test_a_point_is_as_wide_as_half_the_wavelength_in_the_sphere() -> None:
    assert near_field_fwhm_um(0.55, 1.9) == pytest.approx(0.145, abs=0.001)
    image = seen(dots([0.0]), EVEN)
    window = image[226:286, 226:286] - np.median(image[226:286, 226:286])
    line = window.sum(axis=0)
    at_um = np.arange(60) * 0.13 / 3
    sigma_um = np.sqrt((line * at_um**2).sum() / line.sum() - ((line * at_um).sum() / line.sum()) ** 2)
    assert sigma_um * 2.355 == pytest.approx(0.145, rel=0.03)  # interpolation between pixels of 43 nm


def test_the_sphere_magnifies_what_the_objective_magnifies() -> None:
    offsets_um = [-3.0, -1.0, 1.0, 3.0]
    places_px = peaks_px(seen(dots(offsets_um), EVEN))
    # 50 times by the objective and 3 times by the sphere, onto pixels of 6.5 um
    assert np.polyfit(offsets_um, places_px, 1)[0] == pytest.approx(50 * 3 / 6.5, rel=0.005)


def test_the_magnification_grows_towards_the_rim() -> None:
    offsets_um = [-4.0, -0.5, 0.5, 4.0]
    left, inner_left, inner_right, right = peaks_px(seen(dots(offsets_um), LENS))
    outer, inner = (right - left) / 8.0, (inner_right - inner_left) / 1.0
    assert outer / inner == pytest.approx(1 + 0.02 * 0.8**2, abs=0.004)  # 2 % at 5 um; a pixel is 4 %, its parts less


def test_the_window_is_ten_micrometres_wide_and_dims_towards_its_rim() -> None:
    image = seen(plain(), LENS)
    row = image[256]
    inside = np.flatnonzero(row > 0.5 * 0.58)  # between the rim, 0.65, and what is around it, 0.5
    assert (inside[-1] - inside[0]) * 0.13 / 3 == pytest.approx(10.0, rel=0.05)  # the rim fades over 6 % of the radius
    assert row[256] == pytest.approx(0.5, abs=0.001)
    half_way = 256 + round(2.5 * 3 / 0.13)
    assert row[half_way] == pytest.approx(0.5 * (1 - 0.35 / 4), abs=0.002)
    assert image[0, 0] == pytest.approx(0.25, abs=0.001)


def test_detail_is_lost_with_the_evanescent_field() -> None:
    reach_um = near_field_reach_um(0.55, LENS.microsphere)
    assert reach_um == pytest.approx(0.0645, abs=0.0001)
    fine = grating(0.24)  # the objective alone shows nothing finer than 0.5 um
    touching, gap, away = (seen(fine, EVEN, gap_um)[200:312, 200:312].std() for gap_um in (0.0, 0.05, 5.0))
    assert gap / touching == pytest.approx(np.exp(-0.05 / reach_um), rel=0.02)
    assert away < 0.02 * touching


def test_pressing_the_sphere_down_shows_no_more_than_touching() -> None:
    assert np.array_equal(seen(grating(0.3), EVEN, -0.02), seen(grating(0.3), EVEN, 0.0))


def test_the_virtual_image_has_two_micrometres_of_depth() -> None:
    fine = grating(0.4)
    sharp, end = (seen(fine, EVEN, 0.0, defocus_um)[200:312, 200:312].std() for defocus_um in (0.0, 1.0))
    # a point spread wider by sqrt(2) passes the same fraction of the frequency once more
    passed = np.exp(-2 * (np.pi * 0.1447 / 2.355 / 0.4) ** 2)
    assert end / sharp == pytest.approx(passed, rel=0.05)


def test_the_virtual_image_hangs_on_the_probe_and_not_on_the_scanner() -> None:
    microscope = Microscope(plain(), CameraSettings(), LENS)
    assert microscope.defocus_um(50_003.0, np.array([5.0, 5.0, 7.0])) == pytest.approx(3.0)
