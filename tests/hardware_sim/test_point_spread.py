"""The point spread of an aberration-free lens, against the closed forms of optics books."""

import math

import numpy as np
import pytest

from hardware_sim.point_spread import (
    airy_fwhm_um,
    broadened,
    cutoff_per_um,
    depth_of_field_um,
    edge_delay_waves,
    filtered,
    transfer,
)

WAVELENGTH_UM, NA = 0.55, 0.55


def point_image(delay_waves: float, pixel_um: float = 0.02, side: int = 512) -> np.ndarray:
    point = np.zeros((side, side), dtype=np.float32)
    point[side // 2, side // 2] = 1.0
    return filtered(point, pixel_um, cutoff_per_um(WAVELENGTH_UM, NA), delay_waves)


def fwhm_px(row: np.ndarray) -> float:
    """Width at half of the highest value, between pixels linearly."""
    half = row.max() / 2
    inside = np.flatnonzero(row >= half)
    first, last = int(inside[0]), int(inside[-1])
    left = first - (row[first] - half) / (row[first] - row[first - 1])
    right = last + (row[last] - half) / (row[last] - row[last + 1])
    return float(right - left)


def test_in_focus_the_transfer_is_that_of_a_round_pupil() -> None:
    frequency = np.linspace(0.0, 1.2, 100)
    inside = np.minimum(frequency, 1.0)
    closed = 2 / np.pi * (np.arccos(inside) - inside * np.sqrt(1 - inside**2))
    assert transfer(frequency, 0.0) == pytest.approx(closed, abs=1e-4)  # the table's steps


def test_a_point_is_as_wide_as_wavelength_and_aperture_say() -> None:
    image = point_image(0.0)
    assert fwhm_px(image[256]) * 0.02 == pytest.approx(0.5145 * WAVELENGTH_UM / NA, rel=0.01)  # a pixel is 4 %
    assert airy_fwhm_um(WAVELENGTH_UM, NA) == pytest.approx(0.5145, rel=1e-3)
    assert image.sum() == pytest.approx(1.0, abs=1e-4)  # no light is lost


@pytest.mark.parametrize("delay_waves", [0.1, 0.25, 0.5])
def test_the_peak_falls_out_of_focus_as_the_sinc_of_the_delay(delay_waves: float) -> None:
    # Strehl's ratio of pure defocus: sinc squared of the waves at the edge (Born & Wolf, 8.8.2)
    ratio = point_image(delay_waves).max() / point_image(0.0).max()
    assert ratio == pytest.approx(np.sinc(delay_waves) ** 2, abs=0.01)


def test_half_the_depth_of_field_delays_by_a_quarter_wave() -> None:
    depth_um = depth_of_field_um(WAVELENGTH_UM, NA)
    assert depth_um == pytest.approx(1.82, abs=0.01)
    # the exact delay of a wide cone exceeds the paraxial quarter by some per cent
    assert edge_delay_waves(depth_um / 2, WAVELENGTH_UM, NA) == pytest.approx(0.25, rel=0.1)


def test_nothing_finer_than_the_abbe_limit_passes() -> None:
    pixel_um, side = 0.05, 400
    x_um = np.arange(side) * pixel_um
    for period_um, passes in ((0.4, False), (0.49, False), (0.52, True), (1.0, True)):
        waves = round(side * pixel_um / period_um)  # a whole number fits into the image
        grating = np.tile(np.cos(2 * np.pi * waves * x_um / (side * pixel_um)), (side, 1)).astype(np.float32)
        contrast = float(filtered(grating, pixel_um, cutoff_per_um(WAVELENGTH_UM, NA), 0.0).max())
        assert (contrast > 0.005) == passes, period_um


def test_a_fixed_point_spread_widens_as_a_gaussian_beam() -> None:
    assert broadened(2.0, 0.0, 1.8) == 2.0
    assert broadened(2.0, -0.9, 1.8) == pytest.approx(2.0 * math.sqrt(2))
