"""Places of all tiles from the displacements of some pairs.

A robust sparse least-squares problem: every edge pulls with its own uncertainty and loses its pull when the others
disagree with it (Geman and McClure 1985, with the scale lowered step by step); the stage model pulls weakly everywhere,
so that a tile nobody could register sits where the stage would have put it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from reconstruction.registration import Edge
from reconstruction.sources import Tile
from reconstruction.stage_model import DEFAULT_SCATTER_PX, MAD_TO_SIGMA, StageModel, learn

OUTLIER = 3.0  # standard deviations; where an edge begins to lose its pull
LEAST_SCALE_PX = 0.1  # what sub-pixel registration is worth at best
SCALES_PX = (8.0, 8.0, 3.0, 1.0, 0.5)  # disagreement that passes, step by step
SETTLING = 4  # more steps, at the scale measured on the residuals
KEPT_WEIGHT = 0.25
DETERMINED_PX2 = 1.0
GROSS = 8.0  # standard deviations; an anchor that moved further says nothing about the others
TIE_TO_NOMINAL = 1e-6  # of the weight of one px; holds what nothing else holds


@dataclass(frozen=True)
class PlacedTile:
    """Centre of the top left pixel, px of the source's frame; `score`: best NCC among its edges, else 0."""

    tile: Tile
    x_px: float
    y_px: float
    placed_by: Literal["registration", "stage"]
    score: float


@dataclass(frozen=True)
class Placement:
    """Every tile's place, by its index, and how well the kept edges agree with it."""

    tiles: dict[int, PlacedTile]
    kept: frozenset[tuple[int, int]]  # edges (a, b) that had a say
    residual_px_rms: float
    residual_px_max: float
    stage_scatter_px: float


@dataclass(frozen=True)
class _Pulls:
    """Pairs of unknowns with the displacement (x, y) and the covariance (2, 2) of each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    wanted_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]

    def residuals(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(places[self.second] - places[self.first] - self.wanted_px)

    def determined(self) -> NDArray[np.bool_]:
        """Tell which pairs are known in every direction."""
        return np.asarray(np.trace(self.covariance_px2, axis1=1, axis2=2) < DETERMINED_PX2)


def place(tiles: Sequence[Tile], edges: Sequence[Edge]) -> Placement:
    """Place tiles by the edges among them; the same input gives the same places in whatever order it comes."""
    by_index = {tile.index: tile for tile in sorted(tiles, key=lambda tile: tile.index)}
    among = sorted((e for e in edges if e.a in by_index and e.b in by_index), key=lambda e: (e.a, e.b))
    row_of = {index: row for row, index in enumerate(by_index)}
    nominal = np.array([(t.x_px, t.y_px) for t in by_index.values()], dtype=np.float64).reshape(-1, 2)
    if not by_index:
        return Placement({}, frozenset(), 0.0, 0.0, 0.0)
    stage = learn(by_index, among)
    accepted = [e for e in among if e.accepted]
    measured = _measured(accepted, row_of)
    places, weights = _solve(nominal, measured, _expected(among, stage, row_of))
    places -= _shift_of_anchors(list(by_index.values()), places - nominal)
    kept = [e for e, weight in zip(accepted, weights, strict=True) if weight >= KEPT_WEIGHT]
    return _summed_up(by_index, places, kept, row_of, stage.scatter_px)


def _measured(edges: Sequence[Edge], row_of: dict[int, int]) -> _Pulls:
    covariance = [((e.var_x_px2, e.cov_xy_px2), (e.cov_xy_px2, e.var_y_px2)) for e in edges]
    return _pulls(edges, row_of, [(e.dx_px, e.dy_px) for e in edges], covariance)


def _expected(edges: Sequence[Edge], stage: StageModel, row_of: dict[int, int]) -> _Pulls:
    covariance = np.broadcast_to(stage.scatter_px**2 * np.eye(2), (len(edges), 2, 2))
    return _pulls(edges, row_of, stage.expected_px, covariance)


def _pulls(edges: Sequence[Edge], row_of: dict[int, int], wanted: object, covariance: object) -> _Pulls:
    first = np.array([row_of[e.a] for e in edges], dtype=np.intp)
    second = np.array([row_of[e.b] for e in edges], dtype=np.intp)
    return _Pulls(
        first,
        second,
        np.asarray(wanted, dtype=np.float64).reshape(-1, 2),
        np.asarray(covariance, dtype=np.float64).reshape(-1, 2, 2),
    )


def _solve(
    nominal: NDArray[np.float64], measured: _Pulls, expected: _Pulls
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (tiles, 2) and the weight left to each measured edge."""
    stage_information = np.asarray(np.linalg.inv(expected.covariance_px2), dtype=np.float64)
    places = _least_squares(nominal, [(expected, stage_information)])
    weights = np.ones(len(measured.first))
    for step in range(len(SCALES_PX) + SETTLING if len(weights) else 0):
        scale = SCALES_PX[step] if step < len(SCALES_PX) else _scale(measured, places)
        weights = _trust(measured.residuals(places), measured.covariance_px2 + scale**2 * np.eye(2))
        stage_trust = _trust(expected.residuals(places), expected.covariance_px2)
        pull = np.asarray(np.linalg.inv(measured.covariance_px2 + min(scale, 1.0) ** 2 * np.eye(2)), dtype=np.float64)
        groups = [
            (measured, weights[:, None, None] * pull),
            (expected, np.sqrt(stage_trust)[:, None, None] * stage_information),
        ]
        places = _least_squares(nominal, groups)
    return places, weights


def _scale(measured: _Pulls, places: NDArray[np.float64]) -> float:
    """Scatter of the residuals, px; of all edges, lest it shrink with every one refused."""
    residuals = measured.residuals(places)[measured.determined()]
    if not len(residuals):
        return LEAST_SCALE_PX
    return max(MAD_TO_SIGMA * float(np.median(np.abs(residuals).max(axis=1))), LEAST_SCALE_PX)


def _trust(residuals: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each pull by its distance in standard deviations, 1 where it agrees."""
    distance2 = np.einsum("ni,nij,nj->n", residuals, np.linalg.inv(covariance), residuals)
    return np.asarray(1 / (1 + distance2 / OUTLIER**2) ** 2, dtype=np.float64)


def _least_squares(
    nominal: NDArray[np.float64], groups: Sequence[tuple[_Pulls, NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Minimise the sum of all pulls; unknowns are (x, y) of each tile, relative to the nominal places."""
    count = len(nominal)
    rows, columns, values = [np.arange(2 * count)], [np.arange(2 * count)], [np.full(2 * count, TIE_TO_NOMINAL)]
    right = np.zeros((count, 2))
    for pulls, information in groups:
        wanted = -pulls.residuals(nominal)
        force = np.einsum("nij,nj->ni", information, wanted)
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


def _shift_of_anchors(tiles: Sequence[Tile], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean (x, y) by which anchor tiles moved, without gross errors.

    A plain mean, because the errors of a closed loop balance each other: weighing down the larger ones would not.
    """
    anchors = moved[[tile.anchor for tile in tiles]]
    if not len(anchors):
        anchors = moved
    median = np.median(anchors, axis=0)
    spread = np.maximum(MAD_TO_SIGMA * np.median(np.abs(anchors - median), axis=0), DEFAULT_SCATTER_PX)
    usual = (np.abs(anchors - median) <= GROSS * spread).all(axis=1)
    return np.asarray(anchors[usual].mean(axis=0) if usual.any() else median)


def _summed_up(
    tiles: dict[int, Tile],
    places: NDArray[np.float64],
    kept: Sequence[Edge],
    row_of: dict[int, int],
    scatter_px: float,
) -> Placement:
    scores: dict[int, float] = {}
    for edge in kept:
        for index in (edge.a, edge.b):
            scores[index] = max(edge.score, scores.get(index, 0.0))
    said = _measured(kept, row_of)
    squared = np.square(said.residuals(places)[said.determined()]).sum(axis=1)
    placed = {
        index: PlacedTile(
            tile,
            float(places[row_of[index], 0]),
            float(places[row_of[index], 1]),
            "registration" if index in scores else "stage",
            scores.get(index, 0.0),
        )
        for index, tile in tiles.items()
    }
    return Placement(
        placed,
        frozenset((e.a, e.b) for e in kept),
        float(np.sqrt(squared.mean())) if len(squared) else 0.0,
        float(np.sqrt(squared.max())) if len(squared) else 0.0,
        scatter_px,
    )
