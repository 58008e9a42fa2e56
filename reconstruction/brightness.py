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

from reconstruction.brightness_ratios import IN_A, IN_B, RATIO, VARIANCE, Ratios

ORDERS = tuple((i, n - i) for n in range(1, 5) for i in range(n, -1, -1))  # in x and y, of products of Legendre's
USUAL = {1: 0.1, 2: 0.2, 3: 0.03, 4: 0.03}  # size of a coefficient by its order; narrow overlaps tell them apart poorly
USUAL_EXPOSURE = 0.1  # standard deviation of the logarithm of a factor
ROUNDS = 4  # of weighing down cells that do not fit
TOLERATED = 2.0  # standard deviations
MAD_TO_SIGMA = 1.4826
LEAST_SHADING = 0.003  # between the brightest and the darkest place of a tile; below, nothing is taken out
LEAST_EXPOSURE = 0.0005  # rms of the logarithms, likewise
DOUBTFUL = 5.0  # times the sum of squares that chance explains, likewise
LEAST_SCALE = 0.2  # of residuals against their estimated errors
AT_ONCE = 2048  # seams
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


def match(
    places_px: Mapping[int, tuple[float, float]],
    tile_shape: tuple[int, int],
    seams: Sequence[Ratios],
    exposure: bool = True,
    flat: bool = True,
) -> Brightness:
    """Find the brightness of tiles from the seams among them; what is not significant is left out.

    Args:
        places_px: of every tile, (x, y).
        exposure: look for a factor of each tile.
        flat: look for a common shading.
    """
    order = sorted(places_px)
    known = [each for each in seams if len(each.cells)]
    if not known or not (exposure or flat):
        return Brightness()
    system = _System(known, {index: row for row, index in enumerate(order)}, exposure, flat)
    for _ in range(ROUNDS):
        system.solve()
    gains, shading = system.gains - system.gains.mean(), system.shading
    even = system.gains_chi2 < DOUBTFUL * len(order) or np.square(gains).mean() < LEAST_EXPOSURE**2
    unshaded = not flat or system.shading_chi2 < DOUBTFUL * len(shading) or _range(shading) < LEAST_SHADING
    if not even and not unshaded:
        gains, shading = _without_ramp(gains, shading, np.array([places_px[i] for i in order]), tile_shape)
    factors = {} if even else {index: _rounded(np.exp(gain)) for index, gain in zip(order, gains, strict=True)}
    return Brightness(factors, () if unshaded else tuple(map(_rounded, shading)))


def _range(shading: NDArray[Any]) -> float:
    return float(np.ptp(flat_field(tuple(shading), (33, 33))))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _without_ramp(
    gains: NDArray[Any], shading: NDArray[Any], places_px: NDArray[Any], tile_shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Let exposures not rise across the mosaic: seams cannot tell that from a tilt of the shading."""
    away = places_px - places_px.mean(axis=0)
    ramp, weights = np.zeros(2), np.ones(len(gains))
    for _ in range(ROUNDS):  # one tile of quite another exposure makes no ramp
        ramp, *_ = np.linalg.lstsq(away * weights[:, None], gains * weights, rcond=1e-6)
        left = gains - away @ ramp
        left -= np.median(left)
        weights = 1 / np.hypot(1, left / max(TOLERATED * MAD_TO_SIGMA * float(np.median(np.abs(left))), 1e-6))
    tilted = shading.copy()
    for (axis, order), size in zip(((0, (1, 0)), (1, (0, 1))), tile_shape[::-1], strict=True):
        tilted[ORDERS.index(order)] -= ramp[axis] * (size - 1) / 2
    return gains - away @ ramp, tilted


class _System:
    """Least squares, weighed anew in every round (Cauchy weights)."""

    def __init__(self, seams: Sequence[Ratios], row_of: Mapping[int, int], exposure: bool, flat: bool) -> None:
        self._parts = [_Part(seams[start : start + AT_ONCE], row_of) for start in range(0, len(seams), AT_ONCE)]
        self.gains: NDArray[Any] = np.zeros(len(row_of))
        self.shading: NDArray[Any] = np.zeros(len(ORDERS) if flat else 0)
        self.gains_chi2 = self.shading_chi2 = 0.0  # what they explain of the scatter, in units of what is left of it
        self._exposure = exposure
        self._scale = np.inf  # of the residuals against what their variances say

    def solve(self) -> None:
        """Solve once, with the weights that follow from the solution so far."""
        tiles, terms = len(self.gains), len(self.shading)
        ties = sparse.identity(tiles, format="csc") / USUAL_EXPOSURE**2
        both, common = np.zeros((tiles, terms)), np.diag([USUAL[sum(order)] ** -2 for order in ORDERS[:terms]])
        wanted, wanted_common = np.zeros(tiles), np.zeros(terms)
        for part in self._parts:
            weights = self._weights(part)
            basis = part.basis()[:, :terms]
            pulled = weights[:, None] * np.column_stack([basis, part.ratio])
            sums = np.column_stack([np.bincount(part.seam, column) for column in pulled.T])
            weight = np.bincount(part.seam, weights)
            for rows, others, sign in ((part.b, part.a, 1.0), (part.a, part.b, -1.0)):
                ties = ties + sparse.csc_matrix((weight, (rows, rows)), (tiles, tiles))
                ties = ties - sparse.csc_matrix((weight, (rows, others)), (tiles, tiles))
                np.add.at(both, rows, sign * sums[:, :terms])
                np.add.at(wanted, rows, sign * sums[:, terms])
            common += basis.T @ pulled[:, :terms]
            wanted_common += pulled[:, :terms].T @ part.ratio
        factors = splu(ties) if self._exposure else None
        through = factors.solve(np.column_stack([both, wanted])) if factors else np.zeros((tiles, terms + 1))
        if terms:
            remaining = common - both.T @ through[:, :terms]
            self.shading = np.linalg.solve(remaining, wanted_common - both.T @ through[:, terms])
            self.shading_chi2 = float(self.shading @ remaining @ self.shading)
        self.gains = through[:, terms] - through[:, :terms] @ self.shading
        self.gains_chi2 = float(self.gains @ (ties @ self.gains))
        self._measure_scale()
        self.gains_chi2, self.shading_chi2 = (chi2 / self._scale**2 for chi2 in (self.gains_chi2, self.shading_chi2))

    def _residuals(self, part: "_Part") -> NDArray[np.float64]:
        """Give residuals in standard deviations."""
        tile = (self.gains[part.b] - self.gains[part.a])[part.seam]
        terms = len(self.shading)
        return np.asarray((part.ratio - tile - part.basis()[:, :terms] @ self.shading) / np.sqrt(part.variance))

    def _weights(self, part: "_Part") -> NDArray[np.float64]:
        if not np.isfinite(self._scale):
            return 1 / part.variance
        usual = np.square(self._residuals(part) / (TOLERATED * self._scale))
        return np.asarray(1 / (part.variance * (1 + usual)))

    def _measure_scale(self) -> None:
        away = np.concatenate([np.abs(self._residuals(part)) for part in self._parts])
        self._scale = max(LEAST_SCALE, MAD_TO_SIGMA * float(np.median(away)))


class _Part:
    """Some seams, their cells below each other."""

    def __init__(self, seams: Sequence[Ratios], row_of: Mapping[int, int]) -> None:
        self.a = np.array([row_of[each.a] for each in seams])
        self.b = np.array([row_of[each.b] for each in seams])
        self.seam = np.repeat(np.arange(len(seams)), [len(each.cells) for each in seams])
        self._cells = np.concatenate([each.cells for each in seams])
        self.ratio = self._cells[:, RATIO].astype(np.float64)
        self.variance = self._cells[:, VARIANCE].astype(np.float64)

    def basis(self) -> NDArray[np.float64]:
        """Every term of the shading at the place in b less that in a: (cells, terms)."""
        return _terms(self._cells[:, IN_B]) - _terms(self._cells[:, IN_A])


def _terms(places: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y = (legendre.legvander(places[:, axis].astype(np.float64), 4) for axis in (0, 1))
    return np.stack([x[:, i] * y[:, j] for i, j in ORDERS], axis=1)
