"""How bright two tiles show what both of them show."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import Edge
from reconstruction.strip_pair import overlap

CELLS_PER_SIDE = 10  # of a tile
LEAST_CELL_PX = 12
LEAST_CELLS = 3  # across an overlap: how a ratio changes there tells the bend of the shading
DARKEST = 2.0  # grey values; a ratio of darker cells says nothing
SATURATED = 0.97  # of the greatest grey value
GRAIN_PX = 8.0  # pixels over which the difference of two tiles is alike: noise is finer, what does not fit is broader
LEAST_DEVIATION = 0.001  # of the logarithm of a ratio

IN_A, IN_B, RATIO, VARIANCE = slice(0, 2), slice(2, 4), 4, 5


@dataclass(frozen=True)
class Ratios:
    """Cells of the overlap of tiles `a` and `b`, one a row of (cells, 6).

    Columns: centre (x, y) in tile a, the same in tile b, each from -1 to 1 across the tile; logarithm of the brightness
    of b over that of a, and its variance.
    """

    a: int
    b: int
    cells: NDArray[np.float32]


def measure_ratios(edge: Edge, first: NDArray[Any], second: NDArray[Any]) -> Ratios:
    """Compare two tiles (y, x) where the edge lays them on each other; cells too dark or saturated are left out."""
    shift = round(edge.dy_px), round(edge.dx_px)
    rest = edge.dy_px - shift[0], edge.dx_px - shift[1]
    one, other = overlap(first, second, shift)
    counts = tuple(_cells(length, size) for length, size in zip(one.shape, first.shape, strict=True))
    if not all(counts):
        return Ratios(edge.a, edge.b, np.zeros((0, 6), np.float32))
    side = tuple(length // count for length, count in zip(one.shape, counts, strict=True))
    here = slice(0, side[0] * counts[0]), slice(0, side[1] * counts[1])
    a, b = one[here].astype(np.float32), _interpolated(other[here].astype(np.float32), rest)
    difference = b - a
    means = [_averaged(image, counts) for image in (a, b, difference, np.square(difference))]
    table = np.empty((*counts, 6), np.float32)
    for axis, at in ((1, 0), (0, 1)):  # (y, x) in images, (x, y) in the table
        centres = (np.arange(counts[axis]) + 0.5) * side[axis] - 0.5 + max(0, shift[axis])
        across = centres if axis else centres[:, None]
        table[..., at] = 2 * across / (first.shape[axis] - 1) - 1
        table[..., 2 + at] = 2 * (across - shift[axis]) / (first.shape[axis] - 1) - 1
    product = np.maximum(means[0] * means[1], DARKEST**2)
    grains = max(1.0, side[0] * side[1] / GRAIN_PX)
    table[..., RATIO] = np.log(np.maximum(means[1], DARKEST) / np.maximum(means[0], DARKEST))
    scatter = np.maximum(means[3] - np.square(means[2]), 0) / grains
    table[..., VARIANCE] = scatter / product + LEAST_DEVIATION**2
    bright = SATURATED * np.iinfo(first.dtype).max
    usable = (np.minimum(means[0], means[1]) > DARKEST) & (np.maximum(means[0], means[1]) < bright)
    return Ratios(edge.a, edge.b, table[usable])


def _interpolated(image: NDArray[np.float32], rest_px: tuple[float, float]) -> NDArray[np.float32]:
    """Move an image by half a pixel at most (y, x), linearly: that keeps its mean."""
    down, across = (np.array([max(rest, 0), 1 - abs(rest), max(-rest, 0)]) for rest in rest_px)
    moved = cv2.sepFilter2D(image, -1, across, down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def _cells(length: int, side: int) -> int:
    """Into how many cells a side of an overlap is cut."""
    return min(length // LEAST_CELL_PX, max(LEAST_CELLS, round(CELLS_PER_SIDE * length / side)))


def _averaged(image: NDArray[np.float32], counts: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, counts[::-1], interpolation=cv2.INTER_AREA), dtype=np.float32)
