"""The star and the blocks: drawn with the coverage that their geometry has."""

import numpy as np
import pytest

from hardware_sim.blocks import FILL, GRID_UNITS, MARGIN_UNITS, UNIT_UM, draw_blocks
from hardware_sim.siemens import BRIGHT, DARK, draw_siemens

PIXEL_UM = 0.05


def star(side: int, spokes: int = 36) -> np.ndarray:
    reflectance, _ = draw_siemens((side, side), PIXEL_UM, np.random.default_rng(0), spokes)
    return (reflectance.astype(float) - DARK) / (BRIGHT - DARK)


def test_a_pixel_on_an_edge_is_covered_as_far_as_the_spoke_reaches() -> None:
    side, finer = 200, 16
    drawn = star(side)
    # the same geometry, counted point by point
    at_px = (np.arange(side * finer) + 0.5) / finer - side / 2
    angle = np.arctan2(at_px[:, None], at_px[None, :])
    radius_px = np.hypot(at_px[:, None], at_px[None, :])
    inside = ((angle * 36 / (2 * np.pi)) % 1.0 < 0.5) & (radius_px < 0.45 * side)
    counted = inside.reshape(side, finer, side, finer).mean(axis=(1, 3))
    middle = np.hypot(*np.meshgrid(np.arange(side) - 99.5, np.arange(side) - 99.5))
    # outside the hub, where more than two edges cross a pixel, and inside the rim, which is drawn as a ramp
    clear = (middle > 12) & (middle < 88)
    assert np.abs(drawn - counted)[clear].max() < 0.04  # the count of an edge along the pixels is good to 1/32
    assert np.abs(drawn - counted)[clear].mean() < 0.001


@pytest.mark.parametrize("spokes", [36, 72])
def test_the_star_has_its_spokes(spokes: int) -> None:
    drawn = star(400, spokes)
    angle = np.linspace(0, 2 * np.pi, 7200, endpoint=False)
    rows, columns = (np.round(199.5 + 150 * wave(angle)).astype(int) for wave in (np.sin, np.cos))
    assert np.abs(np.fft.rfft(drawn[rows, columns])).argsort()[-2:].tolist() == [spokes, 0]


def test_the_hub_is_grey() -> None:
    assert star(400)[199:201, 199:201] == pytest.approx(np.full((2, 2), 0.5))


@pytest.fixture(scope="module")
def blocks() -> tuple[np.ndarray, np.ndarray]:
    transmittance, height_um = draw_blocks((900, 900), UNIT_UM / 6, np.random.default_rng(3))
    return transmittance, height_um


def test_blocks_are_squares_of_180_nm_that_are_open_or_closed(blocks: tuple[np.ndarray, np.ndarray]) -> None:
    transmittance = blocks[0]
    # six pixels a unit, whose edges lie in the middle of a pixel: five are full, the sixth is shared
    inner = np.stack([transmittance[i::6, j::6][:149, :149] for i in range(1, 6) for j in range(1, 6)])
    assert np.ptp(inner, axis=0).max() < 1e-5
    assert set(np.unique(inner.round(4))) == {0.0, 1.0}


def test_each_grid_has_its_own_density_and_a_margin_of_film(blocks: tuple[np.ndarray, np.ndarray]) -> None:
    units = blocks[0][3::6, 3::6]
    assert units[:MARGIN_UNITS].max() == 0
    assert units[:, MARGIN_UNITS + GRID_UNITS : 2 * MARGIN_UNITS + GRID_UNITS].max() == 0
    fill = units[MARGIN_UNITS : MARGIN_UNITS + GRID_UNITS, MARGIN_UNITS : MARGIN_UNITS + GRID_UNITS].mean()
    assert FILL[0] - 0.03 < fill < FILL[1] + 0.03


def test_an_opening_is_as_deep_as_the_film(blocks: tuple[np.ndarray, np.ndarray]) -> None:
    transmittance, height_um = blocks
    assert height_um == pytest.approx(0.13 * (1 - transmittance), abs=1e-6)
