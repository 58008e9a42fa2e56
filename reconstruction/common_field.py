"""The distortion common to all tiles, estimated from how shifts vary over the overlaps.

Where tile `a` shows with its pixel p what `b` shows with q, p - q = step + d(q) - d(p): linear in the coefficients of
the field, with a step of its own for every edge. Robust least squares over the parts of all overlaps; what the
overlaps determine poorly is drawn towards nothing, by as much as the size of the other coefficients allows (ridge
regression, its weight by expectation maximisation).

Overlaps cannot tell a linear part of the field from other steps. It is chosen so that the steps are on average those
which the stage claims, if the stage steps exactly, and else those which were measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reconstruction.distortion import TERMS, Distortion, legendre
from reconstruction.registration import Edge

Values = NDArray[np.float64]

LINEAR = [i for i, term in enumerate(TERMS) if sum(term) == 1]
BENDS = [i for i, term in enumerate(TERMS) if sum(term) > 1]
LEAST_EDGES = 4
MOST_EDGES = 400  # more do not make a field of a few coefficients better
FLOOR_PX = 0.03  # no part of an overlap is known better, for interpolation
OUTLIER = 3.0  # standard deviations
ROBUST_STEPS = 6
LEAST_RMS_PX = 0.05  # over a tile; a smaller field is left alone
SIGNIFICANT = 12.0  # squared standard deviations per coefficient
MEDIAN_DISTANCE = 1.177  # of a standard normal deviate of two dimensions
FIRST_COEFFICIENT_PX = 3.0
LEAST_COEFFICIENT_PX = 1e-3
EXPECTATIONS = 30
LEAST_STEPS = 3
EXACT_PX = 0.5  # scatter of the steps of a stage that is worth asking
LIKELY = 3.0  # standard deviations
EXPLAINED = 4.0  # times the field; a distortion makes no greater difference to a step
MAD_TO_SIGMA = 1.4826


def distortion(edges: Sequence[Edge], nominal_px: Values) -> Distortion | None:
    """Estimate the field common to all tiles; None where it is not significant.

    Args:
        nominal_px: displacement (x, y) of each edge as the stage claims it.
    """
    chosen = [i for i, edge in enumerate(edges) if edge.local]
    if len(chosen) < LEAST_EDGES:
        return None
    chosen = chosen[:: -(-len(chosen) // MOST_EDGES)]
    parts = _Parts([edges[i] for i in chosen])
    weights = np.ones(len(parts.shift_px))
    for _ in range(ROBUST_STEPS):
        normal, right = parts.normal(weights)
        scale = parts.scale(np.asarray(np.linalg.lstsq(normal, right, rcond=None)[0], np.float64), weights)
        coefficients, covariance = _drawn_to_nothing(normal / scale**2, right / scale**2)
        weights = _robust(parts.distances(coefficients, weights) / scale)
    gain = float(coefficients @ right) / scale**2
    if gain < SIGNIFICANT * coefficients.size or _rms_px(_field(coefficients)) < LEAST_RMS_PX:
        return None
    steps = _Steps(parts, weights, np.array([(edges[i].dx_px, edges[i].dy_px) for i in chosen]), nominal_px[chosen])
    return steps.made_usual(coefficients, covariance)


class _Steps:
    """Steps of all edges: as measured, as the stage claims them, and what a field makes of them."""

    def __init__(self, parts: "_Parts", weights: Values, measured_px: Values, nominal_px: Values) -> None:
        self._parts, self._weights = parts, weights
        self._measured_px, self._nominal_px = measured_px, nominal_px
        longer = np.abs(nominal_px).argmax(axis=1)
        towards = np.sign(nominal_px[np.arange(len(longer)), longer]) * (longer + 1)
        self._directions = [towards == each for each in np.unique(towards)]

    def made_usual(self, bends: Values, covariance: Values) -> Distortion:
        """Give the field of some bends that leaves the mean steps what they should be."""
        often = [edges for edges in self._directions if edges.sum() >= LEAST_STEPS]
        exact = bool(often) and all(self._exact(bends, edges) for edges in often)
        for edges in often if exact else ():
            bends, covariance = self._agreed(edges, bends, covariance)
        wanted = self._nominal_px if exact else self._measured_px
        left = self._parts.steps(bends, self._weights) - wanted
        slopes = self._parts.slopes[:, LINEAR]
        design = np.array([slopes[self._parts.belong_to(edges)].mean(axis=0) for edges in self._directions])
        mean = np.array([np.median(left[edges], axis=0) for edges in self._directions])
        return _field(bends, np.linalg.lstsq(design, mean, rcond=None)[0])

    def _exact(self, bends: Values, edges: NDArray[np.bool_]) -> bool:
        """Tell whether the stage repeats its steps, and claims what a distortion of this size leaves possible."""
        left = (self._parts.steps(bends, self._weights) - self._nominal_px)[edges]
        middle = np.median(left, axis=0)
        scatter_px = MAD_TO_SIGMA * np.median(np.abs(left - middle), axis=0)
        explained_px = EXPLAINED * _rms_px(_field(bends))
        return bool(scatter_px.max() < EXACT_PX and np.abs(middle).max() < explained_px)

    def _agreed(self, edges: NDArray[np.bool_], bends: Values, covariance: Values) -> tuple[Values, Values]:
        """Take the word of an exact stage for the mean of some steps, where the bends are uncertain enough.

        A cubic term along the steps hardly shows within a narrow overlap: all steps become longer, that is all.
        """
        design = self._parts.mean_slopes(self._weights, edges)
        left = (self._parts.steps(bends, self._weights) - self._nominal_px)[edges]
        for axis in range(2):
            middle = float(np.median(left[:, axis]))
            scatter_px = MAD_TO_SIGMA * float(np.median(np.abs(left[:, axis] - middle)))
            toll = covariance @ design[axis]
            expected = float(design[axis] @ toll) + max(scatter_px, FLOOR_PX) ** 2 / len(left)
            if middle**2 < LIKELY**2 * expected:
                change = toll * middle / expected
                bends, left = bends + change, left - design @ change
                covariance = covariance - np.outer(toll, toll) / expected
        return bends, covariance


def undistorted(edges: Sequence[Edge], distortion: Distortion) -> list[Edge]:
    """Give edges as they would have been measured between tiles without the distortion."""
    chosen = [i for i, edge in enumerate(edges) if edge.local]
    found = list(edges)
    coefficients = _coefficients(distortion).ravel()
    for start in range(0, len(chosen), MOST_EDGES):  # a few at a time, for the sake of memory
        some = chosen[start : start + MOST_EDGES]
        parts = _Parts([edges[i] for i in some])
        weights = np.ones(len(parts.shift_px))
        for _ in range(ROBUST_STEPS):
            weights = _robust(parts.distances(coefficients, weights))
        for i, (dx, dy) in zip(some, parts.steps(coefficients, weights), strict=True):
            found[i] = replace(found[i], dx_px=float(dx), dy_px=float(dy))
    return found


def _robust(distances: Values) -> Values:
    """Weights of parts that far from what was expected (Geman and McClure 1985)."""
    return np.asarray(1 / (1 + (distances / OUTLIER) ** 2) ** 2)


class _Parts:
    """All parts of all overlaps, and what the coefficients of a field (terms x 2, flat) would make of them."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        values = np.concatenate([edge.local.table() for edge in edges])
        self._edge = np.repeat(np.arange(len(edges)), [len(edge.local) for edge in edges])
        self._starts = np.cumsum([0] + [len(edge.local) for edge in edges[:-1]])
        a_x, a_y, b_x, b_y, dx, dy, xx, xy, yy = values.T
        self.slopes = _basis(b_x, b_y) - _basis(a_x, a_y)  # (parts, terms)
        self.shift_px = np.stack([dx, dy], -1)
        information = np.stack([xx, xy, xy, yy], -1).reshape(-1, 2, 2)
        self.information = np.linalg.solve(np.eye(2) + FLOOR_PX**2 * information, information)

    def normal(self, weights: Values) -> tuple[Values, Values]:
        """Give the normal equations, each edge's own step left to be what it likes."""
        slopes = self.slopes[:, BENDS]
        parts, terms = slopes.shape
        pull = weights[:, None, None] * self.information
        rows = (slopes[:, None, :, None] * np.eye(2)[None, :, None, :]).reshape(parts, 2, 2 * terms)
        rows = rows - self._of_edge(self._means(pull, pull @ rows))
        shift = self.shift_px - self._of_edge(self._means(pull, _times(pull, self.shift_px)))
        flat = rows.reshape(2 * parts, 2 * terms)
        return flat.T @ (pull @ rows).reshape(2 * parts, 2 * terms), flat.T @ _times(pull, shift).ravel()

    def distances(self, coefficients: Values, weights: Values) -> Values:
        """Tell how far each part is from what the field says, in standard deviations."""
        left = self.shift_px - self._bent_px(coefficients)
        left = left - self._of_edge(self.steps(coefficients, weights))
        return np.asarray(np.sqrt(np.maximum((left * _times(self.information, left)).sum(axis=1), 0.0)))

    def _bent_px(self, coefficients: Values) -> Values:
        """Shifts (parts, 2) by a field, of all its terms or of its bends only."""
        terms = coefficients.reshape(-1, 2)
        return np.asarray(self.slopes[:, len(TERMS) - len(terms) :] @ terms)

    def steps(self, coefficients: Values, weights: Values) -> Values:
        """Give the step (x, y) of every edge, undistorted."""
        pull = weights[:, None, None] * self.information
        left = self.shift_px - self._bent_px(coefficients)
        return self._means(pull, _times(pull, left))

    def scale(self, coefficients: Values, weights: Values) -> float:
        """Tell by how much parts scatter beyond what is known of them."""
        return max(float(np.median(self.distances(coefficients, weights))) / MEDIAN_DISTANCE, 1.0)

    def belong_to(self, edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which parts are those of some edges."""
        return np.asarray(edges[self._edge])

    def mean_slopes(self, weights: Values, edges: NDArray[np.bool_]) -> Values:
        """Tell by how much bends make the mean step of some edges greater: (2, coefficients)."""
        pull = weights[:, None, None] * self.information
        slopes = (pull[:, :, None, :] * self.slopes[:, None, BENDS, None]).reshape(len(pull), 2, -1)
        return np.asarray(self._means(pull, slopes)[edges].mean(axis=0))

    def _means(self, pull: Values, pulled: Values) -> Values:
        """Weighted mean over the parts of every edge, of what was multiplied by `pull` already."""
        inverse = np.linalg.pinv(np.add.reduceat(pull, self._starts), rcond=1e-6, hermitian=True)
        return np.asarray(np.einsum("eij,ej...->ei...", inverse, np.add.reduceat(pulled, self._starts)))

    def _of_edge(self, values: Values) -> Values:
        return np.asarray(values[self._edge])


def _times(matrices: Values, vectors: Values) -> Values:
    """Product of every matrix (2, 2) with its vector."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _drawn_to_nothing(normal: Values, right: Values) -> tuple[Values, Values]:
    """Ridge regression, with its covariance; the coefficients themselves say how large one of them is."""
    size = FIRST_COEFFICIENT_PX**2
    for _ in range(EXPECTATIONS):
        covariance: Values = np.asarray(np.linalg.inv(normal + np.eye(len(right)) / size), np.float64)
        coefficients = covariance @ right
        size = max(float(np.mean(coefficients**2 + np.diag(covariance))), LEAST_COEFFICIENT_PX**2)
    return coefficients, covariance


def _basis(x: Values, y: Values) -> Values:
    of_x, of_y = legendre(x), legendre(y)
    return np.stack([of_x[i] * of_y[j] for i, j in TERMS], -1)


def _field(bends: Values, linear: Values | None = None) -> Distortion:
    coefficients = np.zeros((len(TERMS), 2))
    coefficients[BENDS] = bends.reshape(-1, 2)
    if linear is not None:
        coefficients[LINEAR] = linear
    x, y = coefficients.T.tolist()
    return Distortion(tuple(x), tuple(y))


def _coefficients(distortion: Distortion) -> Values:
    return np.stack([distortion.x_px, distortion.y_px], -1)


def _rms_px(distortion: Distortion) -> float:
    """Root mean square displacement over a tile: Legendre polynomials are orthogonal."""
    squares = np.array([1 / ((2 * i + 1) * (2 * j + 1)) for i, j in TERMS])
    return float(np.sqrt((np.square(_coefficients(distortion)).sum(axis=1) * squares).sum()))
