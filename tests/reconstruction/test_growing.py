"""A source whose tiles nobody knows ahead, as of a live video: the mosaic grows with it and ends up the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from reconstruction.restore import restorer
from reconstruction.sources import Tile
from reconstruction.worker import Progress, follow
from tests.reconstruction.scenes import Scan, scan


class Growing(Scan):
    """Plans no more than has arrived."""

    def planned(self) -> list[Tile]:
        return self.tiles[: max(self.arrived, 1)]

    arrived = 0

    def follow(self) -> Iterator[list[Tile]]:
        for tile in self.tiles:
            self.arrived += 1
            yield [tile]


def level(path: Path) -> NDArray[np.uint16]:
    return np.asarray(zarr.open_array(path / "mosaic.zarr" / "raw" / "0", mode="r")[:])


def test_a_growing_source_makes_the_same_mosaic(tmp_path: Path) -> None:
    known = scan("grains", 0.3, size=128, rows=3, columns=4, error_px=1, backlash_px=0, seed=5)
    growing = Growing(known.frames, known.tiles, known.truth_px)
    covered: list[int] = []

    def look(progress: Progress) -> None:
        covered.append(int((level(tmp_path / "grown") > 0).sum()))

    grown = follow(growing, tmp_path / "grown", restorer("none"), look)
    whole = follow(known, tmp_path / "whole", restorer("none"), lambda progress: None)
    assert grown.canvas == whole.canvas
    assert np.array_equal(level(tmp_path / "grown"), level(tmp_path / "whole"))
    assert covered == sorted(covered)
    assert covered[0] >= 128 * 128
