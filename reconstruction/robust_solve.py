"""A sparse robust least-squares problem: places from displacements, some of which lie, and from what the stage says.

The measured edges speak first, in a convex problem (absolute residuals, by reweighting), begun from edges that count
the less the more the stage wonders at them: where a loop does not close, that says which of its edges lies. From
there edges that the others contradict lose their pull altogether (Geman and McClure 1985). The stage pulls at a small
fraction of its weight: enough to decide where nothing was measured, too little to bend what was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

OUTLIER = 3.0  # standard deviations; where an edge begins to lose its pull
LEAST_SCALE_PX = 0.1  # what sub-pixel registration is worth at best
FIRST_SCALE_PX = 0.5
CONVEX_STEPS = 20
SETTLED_PX = 0.01  # less change ends the convex steps
SETTLING = 4  # steps at the scale measured on the residuals
KEPT_WEIGHT = 0.25
DETERMINED_PX2 = 1.0
STAGE_SHARE = 0.01  # of the weight that the stage's scatter would give it
NOMINAL_SHARE = 0.1  # of that again, for a tile's own nominal place: errors must not add up from tile to tile
MAD_TO_SIGMA = 1.4826

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Pulls:
    """Pairs of unknowns with the displacement (x, y) and the covariance (2, 2) of each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    wanted_px: Values
    covariance_px2: Values

    def residuals(self, places: Values) -> Values:
        return np.asarray(places[self.second] - places[self.first] - self.wanted_px)

    def determined(self) -> NDArray[np.bool_]:
        """Tell which pairs are known in every direction."""
        return np.asarray(np.trace(self.covariance_px2, axis1=1, axis2=2) < DETERMINED_PX2)


def solve(
    nominal: Values, measured: Pulls, likely: Values, expected: Pulls, scatter_px: float
) -> tuple[Values, Values]:
    """Places (tiles, 2) and the weight left to each measured edge, 0..1.

    Args:
        nominal: (tiles, 2) as x, y.
        measured: what registration says; `likely`: how well the stage agrees with each, 0..1.
        expected: what the stage model says.
        scatter_px: of one component of what the stage model expects.
    """
    tie = STAGE_SHARE * NOMINAL_SHARE / scatter_px**2
    expected_information = STAGE_SHARE * np.linalg.inv(expected.covariance_px2)

    def placed(pull: Values, stage_weights: Values) -> Values:
        stage = expected, stage_weights[:, None, None] * expected_information
        return _least_squares(nominal, tie, [(measured, pull), stage])

    spread = _widened(measured, FIRST_SCALE_PX)
    pull = np.asarray(np.linalg.inv(spread), dtype=np.float64)
    stage_weights = np.ones(len(expected.first))
    places = placed(likely[:, None, None] * pull, stage_weights)
    for _ in range(CONVEX_STEPS):
        before = places
        weights = _absolute(_distance(measured.residuals(places), spread))
        stage_weights = _absolute(_distance(expected.residuals(places), expected.covariance_px2))
        places = placed(weights[:, None, None] * pull, stage_weights)
        if np.abs(places - before).max() < SETTLED_PX:
            break
    weights = np.ones(len(measured.first))
    for _ in range(SETTLING if len(weights) else 0):
        spread = _widened(measured, _scale_px(measured, places))
        weights = 1 / (1 + (_distance(measured.residuals(places), spread) / OUTLIER) ** 2) ** 2
        places = placed(weights[:, None, None] * np.linalg.inv(spread), stage_weights)
    return places, weights


def _absolute(distance: Values) -> Values:
    """Weights that turn squares into absolute values, beyond one standard deviation (Huber 1964)."""
    return np.asarray(1 / np.maximum(distance, 1.0))


def _widened(pulls: Pulls, scale_px: float) -> Values:
    return np.asarray(pulls.covariance_px2 + scale_px**2 * np.eye(2))


def _scale_px(measured: Pulls, places: Values) -> float:
    """Scatter of one component of the residuals, by their median; distortion, say, that no shift explains."""
    residuals = measured.residuals(places)[measured.determined()]
    if not len(residuals):
        return LEAST_SCALE_PX
    return max(MAD_TO_SIGMA * float(np.median(np.abs(residuals))), LEAST_SCALE_PX)


def _distance(residuals: Values, covariance: Values) -> Values:
    """Distance in standard deviations."""
    return np.asarray(np.sqrt(np.einsum("ni,nij,nj->n", residuals, np.linalg.inv(covariance), residuals)))


def _least_squares(nominal: Values, tie: float, groups: Sequence[tuple[Pulls, Values]]) -> Values:
    """Minimise the sum of all pulls; unknowns are (x, y) of each tile, relative to the nominal places."""
    count = len(nominal)
    rows, columns, values = [np.arange(2 * count)], [np.arange(2 * count)], [np.full(2 * count, tie)]
    right = np.zeros((count, 2))
    for pulls, information in groups:
        force = np.einsum("nij,nj->ni", information, -pulls.residuals(nominal))
        np.add.at(right, pulls.second, force)
        np.add.at(right, pulls.first, -force)
        for from_, to, sign in (
            (pulls.first, pulls.first, 1),
            (pulls.second, pulls.second, 1),
            (pulls.first, pulls.second, -1),
            (pulls.second, pulls.first, -1),
        ):
            for i in range(2):
                for j in range(2):
                    rows.append(2 * from_ + i)
                    columns.append(2 * to + j)
                    values.append(sign * information[:, i, j])
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(2 * count, 2 * count)
    ).tocsc()
    solver = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(nominal + solver.solve(right.ravel()).reshape(-1, 2))
