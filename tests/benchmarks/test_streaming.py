"""The benchmark of streaming: its camera keeps its clock, and a tile counts as visible once its pixels are there."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.streaming import Camera, shows, streamed, visible_after_s, write_frames
from benchmarks.tile_sets import SETS, TileSet

SMALL = replace(SETS["A"], grid=(2, 3), tile_px=(128, 160), overlap=0.3, specimen="speckle")


def test_a_camera_exposes_by_its_own_clock(tmp_path: Path) -> None:
    write_frames(SMALL, 1, tmp_path / "frames")
    began: list[float] = []
    camera = Camera(tmp_path / "frames", 0.05, 1, began.append)
    tiles = []
    for batch in camera.follow():
        tiles += [(tile.index, time.monotonic() - began[0]) for tile in batch]
    assert [index for index, _ in tiles] == list(range(6))
    assert all(at >= (index + 1) * 0.05 for index, at in tiles)
    assert np.array_equal(camera.pixels(camera.planned()[4]), TileSet(SMALL, 1).frame(4))


def test_a_streamed_scan_is_watched_until_its_last_tile_shows(tmp_path: Path) -> None:
    write_frames(SMALL, 1, tmp_path / "frames")
    mosaic = tmp_path / "out" / "mosaic.zarr"
    assert not shows(mosaic, np.zeros(2))
    watch = visible_after_s(tmp_path / "frames", mosaic, 0.05)
    made = streamed(tmp_path / "frames", tmp_path / "out", 0.05, 1, watch)
    assert len(made["visible_after_s"]) == len(made["places"]) == 6
    away = np.array(made["places"]) - TileSet(SMALL, 1).true_px
    assert np.hypot(*(away - np.median(away, axis=0)).T).max() < 0.3  # px; the clean sets reach a tenth of it
    assert shows(mosaic, np.array(made["places"][-1]) + 40)
