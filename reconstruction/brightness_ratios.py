"""How bright two tiles show what both of them show."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from reconstruction.registration import Edge
from reconstruction.shelf import Shelf, Shelved
from reconstruction.strip_pair import overlap

CELLS_PER_SIDE = 10  # of a tile
LEAST_CELL_PX = 12
LEAST_CELLS = 3  # across an overlap: how a ratio changes there tells the bend of the shading
DARKEST = 2.0  # grey values; a ratio of darker cells says nothing
SATURATED = 0.97  # of the greatest grey value
GRAIN_PX = 8.0  # pixels over which the difference of two tiles is alike: noise is finer, what does not fit is broader
LEAST_DEVIATION = 0.001  # of the logarithm of a ratio

ORDERS = tuple((i, n - i) for n in range(1, 5) for i in range(n, -1, -1))
"""Orders in x and y of the products of Legendre polynomials of which a shading is made."""
TERMS = len(ORDERS) + 2
HALF = np.triu_indices(TERMS)


@dataclass(frozen=True, slots=True)
class Ratios:
    """What the overlap of tiles `a` and `b` says of their brightness, summed over its cells.

    In a cell, the logarithm of the brightness of b over that of a is the difference of their exposures, plus that of
    the shading at the cell's places in b and in a. `products`: sums over all cells, weighed by their variances, of
    the products of any two of 1, the differences of the terms of the shading (`ORDERS`), and that logarithm.
    """

    a: int
    b: int
    cells: int
    packed: bytes | Shelved  # of `products`, which are symmetric, one half

    @classmethod
    def of(cls, edge: Edge, cells: int, products: NDArray[np.float64]) -> "Ratios":
        """Keep what an overlap says, as float32."""
        return cls(edge.a, edge.b, cells, products[HALF].astype(np.float32).tobytes())

    def on(self, shelf: Shelf) -> "Ratios":
        """Put the products on a shelf."""
        return replace(self, packed=shelf.put(bytes(self.packed)))

    @property
    def products(self) -> NDArray[np.float32]:
        """Unpack them, (terms, terms)."""
        half = np.zeros((TERMS, TERMS), np.float32)
        half[HALF] = np.frombuffer(bytes(self.packed), np.float32)
        return half + np.triu(half, 1).T


def measure_ratios(edge: Edge, first: NDArray[Any], second: NDArray[Any]) -> Ratios:
    """Compare two tiles (y, x) where the edge lays them on each other; cells too dark or saturated are left out."""
    shift = round(edge.dy_px), round(edge.dx_px)
    one, other = overlap(first, second, shift)
    counts = _cells(one.shape[0], first.shape[0]), _cells(one.shape[1], first.shape[1])
    if not all(counts):
        return Ratios.of(edge, 0, np.zeros((TERMS, TERMS)))
    side = one.shape[0] // counts[0], one.shape[1] // counts[1]
    here = slice(0, side[0] * counts[0]), slice(0, side[1] * counts[1])
    a = one[here].astype(np.float32)
    b = _interpolated(other[here].astype(np.float32), (edge.dy_px - shift[0], edge.dx_px - shift[1]))
    logarithm, variance = _compared(a, b, counts, SATURATED * np.iinfo(first.dtype).max)
    usable = np.isfinite(logarithm)
    shading = _terms(first.shape, shift, side, counts)
    rows = np.column_stack([np.ones(usable.sum()), shading[usable], logarithm[usable]])
    products = rows.T @ (rows / variance[usable, None])
    return Ratios.of(edge, int(usable.sum()), products)


def _compared(
    a: NDArray[np.float32], b: NDArray[np.float32], counts: tuple[int, int], brightest: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Logarithm of the ratio of every cell, nan where it is dark or saturated, and the variance of that."""
    difference = b - a
    in_a, in_b, square = (_averaged(image, counts) for image in (a, b, np.square(difference, out=difference)))
    useless = (np.minimum(in_a, in_b) <= DARKEST) | (np.maximum(in_a, in_b) >= brightest)
    grains = max(1.0, a.size / (counts[0] * counts[1]) / GRAIN_PX)
    in_a[useless] = in_b[useless] = 1
    variance = np.maximum(square - np.square(in_b - in_a), 0) / grains / (in_a * in_b) + LEAST_DEVIATION**2
    return np.where(useless, np.nan, np.log(in_b / in_a)), variance


def _terms(
    shape: tuple[int, ...], shift: tuple[int, int], side: tuple[int, int], counts: tuple[int, int]
) -> NDArray[np.float64]:
    """Every term of the shading at each cell's place in b less that in a: (rows, columns, terms) of cells."""
    polynomials = []
    for size, moved, length, count in zip(shape, shift, side, counts, strict=True):
        centres = (np.arange(count) + 0.5) * length - 0.5 + max(0, moved)
        polynomials.append([legendre.legvander(2 * at / (size - 1) - 1, 4) for at in (centres, centres - moved)])
    (y_a, y_b), (x_a, x_b) = polynomials
    return np.stack([np.outer(y_b[:, j], x_b[:, i]) - np.outer(y_a[:, j], x_a[:, i]) for i, j in ORDERS], axis=-1)


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
