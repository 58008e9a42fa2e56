"""Exposure and shading found from overlaps, against those that the frames were made with."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.brightness import Brightness, flat_field, match
from reconstruction.brightness_ratios import Ratios, measure_ratios
from reconstruction.neighbours import are_neighbours
from reconstruction.registration import Edge
from tests.reconstruction.scenes import Scan, scan


def shading(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bright in the middle, 15 % less in the corners, a little brighter on the left."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    return (1 - 0.075 * (np.square(y)[:, None] + np.square(x)[None, :])) * (1 - 0.02 * x[None, :])


def unevenly_lit(scene: Scan, exposures: NDArray[np.float64], field: NDArray[np.float64]) -> Scan:
    frames = [np.rint(f * g * field).astype(np.uint16) for f, g in zip(scene.frames, exposures, strict=True)]
    return replace(scene, frames=frames)


def seams(scene: Scan) -> list[Ratios]:
    pairs = [(a, b) for a in scene.tiles for b in scene.tiles if a.index < b.index]
    found = []
    for a, b in pairs:
        if are_neighbours(a, b, scene.tile_shape):
            shift = scene.truth_px[b.index] - scene.truth_px[a.index]
            edge = Edge(a.index, b.index, float(shift[0]), float(shift[1]), 1.0, True)
            found.append(measure_ratios(edge, scene.frames[a.index], scene.frames[b.index]))
    return found


def matched(scene: Scan, known: list[Ratios], **wanted: bool) -> Brightness:
    return match({tile.index: tile for tile in scene.tiles}, known, **wanted)


def test_exposure_and_shading_are_found_from_the_overlaps() -> None:
    scene = scan("grains", 0.15, size=256, rows=5, columns=6, seed=2)
    exposures = 1 + np.random.default_rng(1).uniform(-0.05, 0.05, 30)
    lit = unevenly_lit(scene, exposures, shading(scene.tile_shape))
    found = matched(scene, seams(lit))
    left = flat_field(found.shading, scene.tile_shape) * shading(scene.tile_shape)
    assert left.std() / left.mean() < 0.008  # a tilt and a ramp of exposures over all tiles look alike
    ratio = np.array([found.gains[i] for i in range(30)]) / exposures
    assert np.log(ratio).std() < 0.01
    assert np.prod([found.gains[i] for i in range(30)]) == pytest.approx(1, abs=1e-4)
    assert flat_field(found.shading, scene.tile_shape).mean() == pytest.approx(1, abs=1e-4)
    corrected = unevenly_lit(lit, 1 / np.array([found.gains[i] for i in range(30)]), left / shading(scene.tile_shape))
    before, after = ([s.products[0, -1] / s.products[0, 0] for s in seams(each)] for each in (lit, corrected))
    assert np.std(before) > 0.04
    assert np.std(after) < 0.002  # shot noise


@pytest.mark.parametrize(("overlap", "tilted"), [(0.15, True), (0.5, True), (0.5, False)])
def test_a_tilt_of_the_light_is_not_taken_for_exposures_that_rise(overlap: float, tilted: bool) -> None:
    scene = scan("grains", overlap, size=256, rows=4, columns=5, seed=2)
    lit = unevenly_lit(scene, np.ones(20), shading(scene.tile_shape) if tilted else np.ones(scene.tile_shape))
    found = matched(scene, seams(lit))
    assert np.ptp(list(found.gains.values()) or [1.0]) < 0.003
    assert bool(found.shading) == tilted
    left = flat_field(found.shading, scene.tile_shape) * shading(scene.tile_shape) if tilted else np.ones(1)
    assert np.ptp(left / left.mean()) < 0.01


@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_exposures_that_differ_much_are_not_taken_for_shading(spread: float) -> None:
    scene = scan("grains", 0.3, size=200, rows=4, columns=4, seed=2)
    exposures = np.exp(np.random.default_rng(2).normal(0, spread, 16))
    found = matched(scene, seams(unevenly_lit(scene, exposures / exposures.max(), np.ones(scene.tile_shape))))
    assert not found.shading
    assert np.std(np.log([found.gains[i] for i in range(16)]) - np.log(exposures)) < 0.005


def test_even_light_is_left_alone() -> None:
    scene = scan("grains", 0.15, size=256, rows=3, columns=4, seed=2)
    assert matched(scene, seams(scene)) == Brightness()


def test_each_correction_can_be_left_out() -> None:
    scene = scan("grains", 0.15, size=256, rows=3, columns=4, seed=2)
    lit = unevenly_lit(scene, np.linspace(0.9, 1.1, 12), shading(scene.tile_shape))
    known = seams(lit)
    assert matched(scene, known, exposure=False, flat=False) == Brightness()
    assert not matched(scene, known, exposure=False).gains
    assert not matched(scene, known, flat=False).shading
    assert matched(scene, []) == Brightness()


def test_a_pair_that_does_not_fit_says_nothing_about_the_others() -> None:
    scene = scan("grains", 0.15, size=256, rows=4, columns=4, seed=2)
    lit = unevenly_lit(scene, np.ones(16), shading(scene.tile_shape))
    lit.frames[5] = np.ascontiguousarray(lit.frames[5][::-1] // 3)
    known = [each for each in seams(lit) if 5 not in (each.a, each.b) or each.a == 4]
    gains = matched(scene, known).gains
    assert max(abs(np.log(gain / gains[0])) for i, gain in gains.items() if i != 5) < 0.05  # of a factor of 3


def test_dark_and_saturated_cells_are_left_out() -> None:
    edge = Edge(0, 1, 0.0, 0.0, 1.0, True)
    dark, bright = np.zeros((120, 120), np.uint8), np.full((120, 120), 255, np.uint8)
    assert measure_ratios(edge, dark, dark).cells == 0
    assert measure_ratios(edge, bright, bright).cells == 0
    half = dark.copy()
    half[:, 60:] = 100
    assert measure_ratios(edge, half, half).cells == 50
