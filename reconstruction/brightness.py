"""Brightness of tiles, from their overlaps alone: one factor a tile, and the shading that all of them have in common.

Two tiles show one place of the specimen at two places of the camera. The logarithm of the ratio is the
difference of two factors and of a polynomial at those two places, whatever the specimen looks like there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from reconstruction.brightness_ratios import ORDERS, Ratios
from reconstruction.sources import Tile

USUAL = {1: 0.03, 2: 0.2, 3: 0.03, 4: 0.03}  # size of a coefficient by its order: overlaps alone tell some poorly apart
USUAL_EXPOSURE = 0.1  # standard deviation of the logarithm of a factor, until it is known
MOST_EXPOSURE = 1.0  # of that
ROUNDS = 4  # of weighing down overlaps that do not fit
TOLERATED = 2.0  # standard deviations
LEAST_SHADING = 0.003  # between the brightest and the darkest place of a tile; below, nothing is taken out
LEAST_EXPOSURE = 0.0005  # rms of the logarithms, likewise
DOUBTFUL = 5.0  # times the sum of squares that chance explains, likewise
LEAST_SCATTER = 0.01  # mean square of what is left, in units of its variance
DIGITS = 6


@dataclass(frozen=True)
class Brightness:
    """What to divide grey values by: a factor a tile (none: 1), and the shading.

    `shading` holds the coefficients of the logarithm, for `ORDERS`; empty: none. The geometric mean of the factors is 1
    and so is the mean of a flat field: the mosaic is as bright as the tiles are.
    """

    gains: Mapping[int, float] = field(default_factory=dict)
    shading: tuple[float, ...] = ()

    def summary(self) -> dict[str, object]:
        """Tell what was taken out: range of the factors, and of the shading over a tile, as fractions; 0: nothing."""
        gains = list(self.gains.values()) or [1.0]
        shading = _range(np.array(self.shading)) if self.shading else 0.0
        return {"exposure_range": _rounded(max(gains) - min(gains)), "shading_range": _rounded(shading)}


@lru_cache(maxsize=8)
def flat_field(shading: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Give the factor of every pixel (y, x) that takes a shading out, 1 on average."""
    columns, rows = (legendre.legvander(np.linspace(-1, 1, size), 4) for size in (shape[1], shape[0]))
    table = np.zeros((5, 5))
    for (i, j), coefficient in zip(ORDERS, shading, strict=True):
        table[j, i] = coefficient
    factor = np.exp(-(rows @ table @ columns.T))
    return np.asarray(factor / factor.mean(), dtype=np.float32)


def match(tiles: Mapping[int, Tile], ratios: Sequence[Ratios], exposure: bool = True, flat: bool = True) -> Brightness:
    """Find the brightness of tiles from the overlaps among them; what is not significant is left out.

    A shading that falls off to one side, and factors that rise from tile to tile, explain the same overlaps. Factors
    that scatter little apart from such a rise are not believed to rise.

    Args:
        tiles: by their index.
        exposure: look for a factor of each tile.
        flat: look for a common shading.
    """
    order = sorted(tiles)
    known = [each for each in ratios if each.cells]
    if not known or not (exposure or flat):
        return Brightness()
    places_px = np.array([(tiles[index].x_px, tiles[index].y_px) for index in order])
    system = _System(known, {index: row for row, index in enumerate(order)}, exposure, flat)
    for _ in range(ROUNDS):
        system.solve()
        if flat:
            system.usual_exposure = _scatter(system.gains, places_px)
    gains, shading = system.gains - system.gains.mean(), system.shading
    unshaded = not flat or system.shading_chi2 < DOUBTFUL * len(shading) or _range(shading) < LEAST_SHADING
    if flat and unshaded:
        return match(tiles, ratios, exposure, flat=False)
    even = system.gains_chi2 < DOUBTFUL * len(order) or np.square(gains).mean() < LEAST_EXPOSURE**2
    factors = {} if even else {index: _rounded(np.exp(gain)) for index, gain in zip(order, gains, strict=True)}
    return Brightness(factors, () if unshaded else tuple(map(_rounded, shading)))


def _scatter(gains: NDArray[Any], places_px: NDArray[Any]) -> float:
    """Standard deviation of the logarithms of factors about a plane, as far as there are tiles enough to tell."""
    plane = np.column_stack([np.ones(len(gains)), places_px])
    freedom = len(gains) - plane.shape[1]
    if freedom < 1:
        return USUAL_EXPOSURE
    left = gains - plane @ np.linalg.lstsq(plane, gains)[0]
    return float(np.clip(np.sqrt(left @ left / freedom), LEAST_EXPOSURE, MOST_EXPOSURE))


def _range(shading: NDArray[Any]) -> float:
    return float(np.ptp(flat_field(tuple(shading), (33, 33))))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


class _System:
    """Least squares of all overlaps, which are weighed anew in every round (Cauchy weights)."""

    def __init__(self, ratios: Sequence[Ratios], row_of: Mapping[int, int], exposure: bool, flat: bool) -> None:
        terms = len(ORDERS) if flat else 0
        self._ends = [
            np.array([row_of[end] for end in ends]) for ends in zip(*((r.a, r.b) for r in ratios), strict=True)
        ]
        kept = [0, *range(1, 1 + terms), -1]  # exposure, shading, what was measured
        self._products = np.stack([each.products[np.ix_(kept, kept)] for each in ratios])
        self._cells = np.array([each.cells for each in ratios])
        self._exposure = exposure
        self.usual_exposure = USUAL_EXPOSURE
        self.gains: NDArray[Any] = np.zeros(len(row_of))
        self.shading: NDArray[Any] = np.zeros(terms)
        self.gains_chi2 = self.shading_chi2 = 0.0  # what they explain of the scatter, in units of what is left of it
        self._weights: NDArray[Any] = np.ones(len(ratios))

    def solve(self) -> None:
        """Solve with the weights that follow from the last solution, then weigh anew."""
        tiles, terms = len(self.gains), len(self.shading)
        usual = np.diag([USUAL[sum(order)] ** -2.0 for order in ORDERS[:terms]])
        sums = np.tensordot(self._weights, self._products, 1)
        common, wanted = sums[1:-1, 1:-1] + usual, sums[1:-1, -1]
        ties, pulls = self._ties(), np.zeros((tiles, terms + 1))
        for end, sign in zip(self._ends, (-1.0, 1.0), strict=True):
            np.add.at(pulls, end, sign * self._weights[:, None] * self._products[:, 0, 1:])
        through = splu(ties).solve(pulls) if self._exposure else np.zeros_like(pulls)
        if terms:
            alone = common - pulls[:, :-1].T @ through[:, :-1]
            self.shading = np.linalg.solve(alone, wanted - pulls[:, :-1].T @ through[:, -1])
            self.shading_chi2 = float(self.shading @ alone @ self.shading)
        self.gains = through[:, -1] - through[:, :-1] @ self.shading
        scatter = self._weigh()
        self.gains_chi2 = float(self.gains @ (ties @ self.gains)) / scatter
        self.shading_chi2 /= scatter

    def _ties(self) -> Any:
        """What overlaps and the usual exposure say of the factors, as a sparse matrix."""
        tiles = len(self.gains)
        (a, b), weight = self._ends, self._weights * self._products[:, 0, 0]
        rows, columns = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
        values = np.concatenate([weight, weight, -weight, -weight])
        ties = sparse.csc_matrix((values, (rows, columns)), (tiles, tiles))
        return ties + sparse.identity(tiles, format="csc") / self.usual_exposure**2

    def _weigh(self) -> float:
        """Weigh overlaps by how they fit; return the usual mean square of what is left, in units of its variance."""
        a, b = self._ends
        unexplained = np.column_stack(
            [
                self.gains[a] - self.gains[b],
                np.broadcast_to(-self.shading, (len(a), len(self.shading))),
                np.ones(len(a)),
            ]
        )
        squares = np.einsum("si,sij,sj->s", unexplained, self._products, unexplained) / self._cells
        usual = max(float(np.median(squares)), LEAST_SCATTER)
        self._weights = 1 / (1 + np.maximum(squares, 0) / (TOLERATED**2 * usual))
        return usual
