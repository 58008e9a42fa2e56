"""The bend that scanner and lens give to every tile alike: one smooth field, a polynomial of low order.

Its gauge: no constant term, since that only moves the mosaic; products of Legendre polynomials over the tile, so that
a term of the second or third order neither shifts, scales nor turns the tile as a whole (in least squares).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TERMS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))  # orders in x and y


@dataclass(frozen=True)
class Distortion:
    """A tile's pixel (x, y) shows the specimen at its place + (x, y) + displacement(x, y).

    The coefficients, px, belong to `TERMS`; -1 and 1 are the centres of the outermost pixels of a tile.
    """

    x_px: tuple[float, ...]
    y_px: tuple[float, ...]

    def displacement_px(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Give the displacement (x, then y) of every pixel of a tile of `shape` (rows, columns): (2, rows, columns)."""
        columns, rows = (legendre(np.linspace(-1.0, 1.0, size)) for size in (shape[1], shape[0]))
        field = np.zeros((2, *shape))
        for axis, coefficients in enumerate((self.x_px, self.y_px)):
            for (i, j), coefficient in zip(TERMS, coefficients, strict=True):
                if coefficient:
                    field[axis] += coefficient * np.outer(rows[j], columns[i])
        return field.astype(np.float32)


def legendre(at: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Legendre polynomials of order 0 to 3."""
    return [np.ones_like(at), at, (3 * at**2 - 1) / 2, (5 * at**3 - 3 * at) / 2]
