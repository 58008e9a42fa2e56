"""Which tiles overlap, judged by their nominal places."""

import math
from collections import defaultdict

from reconstruction.sources import Tile

LEAST_OVERLAP_PX = 12  # of fewer, chance makes too much: most matches are wrong
LEAST_SHARED_SIDE = 0.5  # of a tile's side; excludes tiles that meet at a corner only


def are_neighbours(first: Tile, second: Tile, tile_shape: tuple[int, int]) -> bool:
    """Tell whether two tiles share a strip worth correlating; `tile_shape` is (rows, columns)."""
    rows, columns = tile_shape
    shared_x = columns - abs(second.x_px - first.x_px)
    shared_y = rows - abs(second.y_px - first.y_px)
    return min(shared_x, shared_y) >= LEAST_OVERLAP_PX and max(shared_x / columns, shared_y / rows) >= LEAST_SHARED_SIDE


class Neighbourhood:
    """Tiles seen so far, by cell of a grid as wide as a tile."""

    def __init__(self, tile_shape: tuple[int, int]) -> None:
        self._tile_shape = tile_shape
        self._cells: dict[tuple[int, int], list[Tile]] = defaultdict(list)

    def add(self, tile: Tile) -> list[Tile]:
        """Take in a tile and return those seen before that overlap it."""
        rows, columns = self._tile_shape
        row, column = math.floor(tile.y_px / rows), math.floor(tile.x_px / columns)
        near = [
            other
            for r in (row - 1, row, row + 1)
            for c in (column - 1, column, column + 1)
            for other in self._cells.get((r, c), [])
            if are_neighbours(tile, other, self._tile_shape)
        ]
        self._cells[row, column].append(tile)
        return sorted(near, key=lambda other: other.index)
