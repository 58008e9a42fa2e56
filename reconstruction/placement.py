"""Places of all tiles: what was measured among them, weighed against what the stage says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reconstruction.common_field import distortion, undistorted
from reconstruction.distortion import Distortion
from reconstruction.registration import Edge
from reconstruction.robust_solve import DETERMINED_PX2, KEPT_WEIGHT, MAD_TO_SIGMA, Pulls, solve
from reconstruction.sources import Tile
from reconstruction.stage_model import DEFAULT_SCATTER_PX, StageModel, learn
from reconstruction.witnesses import believable

LEAST_VARIANCE_PX2 = 1e-4
GROSS = 8.0  # standard deviations; an anchor that moved further says nothing about the others


@dataclass(frozen=True, slots=True)
class PlacedTile:
    """Centre of the top left pixel, px of the source's frame; `score`: best NCC among its edges, else 0.

    Placed by the stage are tiles of which no edge, or none in one of the two directions, says where they lie, and
    groups of tiles that no edge joins to the largest group.
    """

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
    distortion: Distortion | None = None  # common to all tiles; the places are those of undistorted tiles


def place(tiles: Sequence[Tile], edges: Sequence[Edge]) -> Placement:
    """Place tiles by the edges among them; the same input gives the same places in whatever order it comes."""
    by_index = {tile.index: tile for tile in sorted(tiles, key=lambda tile: tile.index)}
    if not by_index:
        return Placement({}, frozenset(), 0.0, 0.0, 0.0)
    among = sorted((e for e in edges if e.a in by_index and e.b in by_index), key=lambda e: (e.a, e.b))
    trusted = [witness.edge for witness in believable(among, learn(by_index, among))]
    field = distortion(trusted, _nominal_steps(by_index, trusted))  # from all of them: bent loops do not close
    if field is None:
        return place_undistorted(by_index, among)
    return replace(place_undistorted(by_index, undistorted(among, field)), distortion=field)


def _nominal_steps(tiles: dict[int, Tile], edges: Sequence[Edge]) -> NDArray[np.float64]:
    steps = [(tiles[e.b].x_px - tiles[e.a].x_px, tiles[e.b].y_px - tiles[e.a].y_px) for e in edges]
    return np.array(steps, dtype=np.float64).reshape(-1, 2)


def place_undistorted(by_index: dict[int, Tile], among: Iterable[Edge]) -> Placement:
    """Place tiles, given in the order of their index, by edges that no distortion bends."""
    among = sorted(among, key=lambda e: (e.a, e.b))
    row_of = {index: row for row, index in enumerate(by_index)}
    nominal = np.array([(t.x_px, t.y_px) for t in by_index.values()], dtype=np.float64)
    stage = learn(by_index, among)
    witnesses = believable(among, stage)
    trusted, likely = [each.edge for each in witnesses], np.array([each.likely for each in witnesses])
    expected = _expected(among, stage, row_of)
    places, weights = solve(nominal, _measured(trusted, row_of), likely, expected, stage.scatter_px)
    places -= _shift_of_anchors(list(by_index.values()), places - nominal)
    kept = [e for e, weight in zip(trusted, weights, strict=True) if weight >= KEPT_WEIGHT]
    return _summed_up(by_index, places, kept, row_of, stage.scatter_px)


def _measured(edges: Sequence[Edge], row_of: dict[int, int]) -> Pulls:
    return _pulls(edges, row_of, [(e.dx_px, e.dy_px) for e in edges], [_covariance(e) for e in edges])


def _expected(edges: Sequence[Edge], stage: StageModel, row_of: dict[int, int]) -> Pulls:
    covariance = np.broadcast_to(stage.scatter_px**2 * np.eye(2), (len(edges), 2, 2))
    return _pulls(edges, row_of, stage.expected_px, covariance)


def _covariance(edge: Edge) -> tuple[tuple[float, float], tuple[float, float]]:
    return (edge.var_x_px2, edge.cov_xy_px2), (edge.cov_xy_px2, edge.var_y_px2)


def _pulls(edges: Sequence[Edge], row_of: dict[int, int], wanted: ArrayLike, covariance: ArrayLike) -> Pulls:
    return Pulls(
        np.array([row_of[e.a] for e in edges], dtype=np.intp),
        np.array([row_of[e.b] for e in edges], dtype=np.intp),
        np.asarray(wanted, dtype=np.float64).reshape(-1, 2),
        np.asarray(covariance, dtype=np.float64).reshape(-1, 2, 2),
    )


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
    best = dict.fromkeys(tiles, 0.0)
    for edge in kept:
        best[edge.a], best[edge.b] = max(best[edge.a], edge.score), max(best[edge.b], edge.score)
    said = _measured(kept, row_of)
    squared = np.square(said.residuals(places)[said.determined()]).sum(axis=1)
    together, determined = _largest_group(tiles, kept), _determined(said, len(tiles))
    placed = {
        index: PlacedTile(tile, x, y, "registration" if index in together and known else "stage", best[index])
        for (index, tile), (x, y), known in zip(tiles.items(), places.tolist(), determined, strict=True)
    }
    return Placement(
        placed,
        frozenset((e.a, e.b) for e in kept),
        float(np.sqrt(squared.mean())) if len(squared) else 0.0,
        float(np.sqrt(squared.max())) if len(squared) else 0.0,
        scatter_px,
    )


def _largest_group(tiles: Iterable[int], edges: Iterable[Edge]) -> set[int]:
    """Find the tiles that the most edges join, over however many others; of equal groups the one seen first."""
    group = {index: {index} for index in tiles}
    for edge in edges:
        larger, smaller = sorted((group[edge.a], group[edge.b]), key=len, reverse=True)
        if larger is not smaller:
            larger |= smaller
            group.update(dict.fromkeys(smaller, larger))
    return max(group.values(), key=len)


def _determined(said: Pulls, tiles: int) -> list[bool]:
    """Tell for every tile whether its edges say where it lies in both directions, each below a pixel."""
    floor = LEAST_VARIANCE_PX2 * np.eye(2)  # the same frame twice matches without any doubt
    information, total = np.linalg.inv(said.covariance_px2 + floor), np.zeros((tiles, 2, 2))
    np.add.at(total, said.first, information)
    np.add.at(total, said.second, information)
    return list(np.linalg.eigvalsh(total)[:, 0] > 1 / DETERMINED_PX2)
