"""Generated tile sets: the truth beside them is true."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.tile_sets import SETS, TileSet, write_tiles, write_truth
from benchmarks.wide_specimen import BLUR_SIGMA_PX, WideSpecimen
from hardware_sim.canvas import Image

SMALL = replace(SETS["A"], grid=(2, 3), tile_px=(96, 128), overlap=0.3)
PERIOD_PX = 2048 / 256  # fits into a die a whole number of times


def wave(shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator) -> tuple[Image, Image]:
    y, x = np.mgrid[: shape_px[0], : shape_px[1]]
    drawn = 0.5 + 0.4 * np.sin(2 * np.pi * x / PERIOD_PX) * np.cos(2 * np.pi * y / PERIOD_PX)
    return drawn.astype(np.float32), np.zeros(shape_px, np.float32)


def test_between_pixels_a_wave_is_where_it_should_be() -> None:
    specimen = WideSpecimen(wave, (4096, 4096), seed=1)
    y, x = 2031.37 + np.arange(40.0), 2020.81 + np.arange(50.0)  # across the corner of four dies
    per_px = 2 * np.pi / PERIOD_PX
    amplitude = 0.4 * np.exp(-((BLUR_SIGMA_PX * per_px) ** 2))
    expected = 0.5 + amplitude * np.cos(y * per_px)[:, None] * np.sin(x * per_px)
    by_x = amplitude * per_px * np.cos(y * per_px)[:, None] * np.cos(x * per_px)
    by_y = -amplitude * per_px * np.sin(y * per_px)[:, None] * np.sin(x * per_px)
    for seen in (specimen.seen(y, x), specimen.seen_at(*np.meshgrid(y, x, indexing="ij"))):
        assert np.abs(seen - expected).max() < 0.01 * amplitude  # windowed kernels pass a wave at 99 to 101 %
        for slope in (by_x, by_y):  # less than .002 px of shift, a twentieth of what is asked of seams
            assert abs(np.vdot(slope, seen - expected) / np.vdot(slope, slope)) < 2e-3


def test_a_seed_gives_the_same_set_again_and_another_one_does_not() -> None:
    first, again, other = TileSet(SMALL, 1), TileSet(SMALL, 1), TileSet(SMALL, 2)
    assert np.array_equal(first.frame(4), again.frame(4))
    assert np.array_equal(first.true_px, again.true_px)
    assert not np.allclose(first.true_px, other.true_px)


def test_tiles_a_whole_number_of_pixels_apart_show_the_same() -> None:
    exact = replace(SMALL, jitter_px=0, backlash_px=0, row_walk_px=0, camera_angle_deg=0, shading=0, electrons=1e9)
    tiles = TileSet(exact, 1)
    for seam in tiles.seams():
        x, y = (round(value) for value in seam.shift_px)
        first, second = tiles.frame(seam.first)[y:, x:], tiles.frame(seam.second)
        assert np.abs(first.astype(float) - second[: first.shape[0], : first.shape[1]]).max() < 40  # of 52,000: noise


def test_a_stage_errs_as_told() -> None:
    recipe = replace(SMALL, grid=(40, 40), camera_angle_deg=0, row_walk_px=0)
    tiles = TileSet(recipe, 1)
    error = tiles.true_px - tiles.claimed_px
    odd = np.array([row % 2 == 1 for row, _ in tiles.cells])
    assert np.mean(error[odd, 0]) - np.mean(error[~odd, 0]) == pytest.approx(6, abs=0.5)  # 1600 draws of 3 px
    assert np.std(error[odd], axis=0) == pytest.approx([3, 3], abs=0.3)
    lost = TileSet(replace(recipe, jitter_px=0, backlash_px=0, lost_steps_px=60, lost_steps_share=0.01), 1)
    assert {round(float(each)) for each in np.hypot(*(lost.true_px - lost.claimed_px + lost.claimed_px[0]).T)} >= {60}


def test_the_asked_part_of_the_area_is_featureless() -> None:
    tiles = TileSet(replace(SETS["E"], grid=(6, 6), tile_px=(128, 128)), 1)
    shares = [float((tiles.frame(i).astype(float)).std()) for i in range(36)]
    assert 0.2 < np.mean([seam.texture < 0.5 for seam in tiles.seams()]) < 0.6
    assert min(shares) < max(shares) / 3


def test_a_distortion_is_as_strong_as_asked_and_moves_no_tile() -> None:
    tiles = TileSet(replace(SMALL, distortion_px=2.0), 1)
    field = tiles.distortion_px
    assert field is not None
    assert field.shape == (2, 96, 128)
    assert np.hypot(*field).max() == pytest.approx(2, rel=1e-5)
    assert np.abs(field.mean(axis=(1, 2))).max() < 1e-4


def test_writes_what_a_stitcher_gets_and_what_it_must_not_see(tmp_path: Path) -> None:
    tiles = TileSet(replace(SMALL, left_out=1), 1)
    write_tiles(tiles, tmp_path / "tiles")
    write_truth(tiles, tmp_path / "truth")
    names = [row["file"] for row in csv.DictReader((tmp_path / "tiles/tiles.csv").read_text().splitlines())]
    assert names == ["r000c000.tif", "r000c001.tif", "r000c002.tif", "r001c002.tif", "r001c001.tif"]
    assert {path.name for path in (tmp_path / "tiles").iterdir()} == {"tiles.csv", *names}
    picture = cv2.imread(str(tmp_path / "tiles" / names[3]), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    assert np.array_equal(picture, tiles.frame(3))
    seams = list(csv.DictReader((tmp_path / "truth/seams.csv").read_text().splitlines()))
    assert len(seams) == 5
