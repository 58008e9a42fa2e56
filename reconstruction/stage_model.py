"""What the stage does, learnt from this scan: its median deviation by direction and row parity, and the scatter."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import Edge
from reconstruction.robust_solve import DETERMINED_PX2, MAD_TO_SIGMA
from reconstruction.sources import Tile

LEAST_SAMPLES = 3  # of a median
DEFAULT_SCATTER_PX = 3.0  # until enough was measured
LEAST_SCATTER_PX = 1.0

Kind = tuple[int, int, int]  # direction in tiles (x, y), parity of the upper row


@dataclass(frozen=True)
class StageModel:
    """Expected displacement of each edge's tiles, px (x, y), and the standard deviation of one of its components."""

    expected_px: NDArray[np.float64]  # (edges, 2)
    scatter_px: float
    measured: bool  # the scatter, on enough edges of this scan


def learn(tiles: Mapping[int, Tile], edges: Sequence[Edge]) -> StageModel:
    """Learn from the accepted edges what to expect of all of them."""
    nominal = np.array(
        [(tiles[e.b].x_px - tiles[e.a].x_px, tiles[e.b].y_px - tiles[e.a].y_px) for e in edges], dtype=np.float64
    ).reshape(-1, 2)
    kinds = _kinds(tiles, edges, nominal)
    expected = nominal.copy()
    leftover: list[float] = []
    fits = 0
    for axis in range(2):
        known = [e.accepted and (e.var_x_px2, e.var_y_px2)[axis] < DETERMINED_PX2 for e in edges]
        deviations: dict[Kind | tuple[int, int], list[float]] = defaultdict(list)
        for edge, kind, start, sure in zip(edges, kinds, nominal, known, strict=True):
            if sure:
                deviation = (edge.dx_px, edge.dy_px)[axis] - start[axis]
                deviations[kind].append(deviation)
                deviations[kind[:2]].append(deviation)
        medians = {kind: float(np.median(found)) for kind, found in deviations.items() if len(found) >= LEAST_SAMPLES}
        fits += len(medians)
        for i, kind in enumerate(kinds):
            expected[i, axis] += medians.get(kind, medians.get(kind[:2], 0.0))
            if known[i]:
                leftover.append((edges[i].dx_px, edges[i].dy_px)[axis] - expected[i, axis])
    if len(leftover) < 2 * LEAST_SAMPLES:
        return StageModel(expected, DEFAULT_SCATTER_PX, measured=False)
    fitted = len(leftover) / max(len(leftover) - fits, 1)  # the medians took part of the scatter away
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(leftover))) * fitted
    return StageModel(expected, max(scatter, LEAST_SCATTER_PX), measured=True)


def _kinds(tiles: Mapping[int, Tile], edges: Sequence[Edge], nominal: NDArray[np.float64]) -> list[Kind]:
    lengths = np.abs(nominal)
    vertical = lengths[:, 1] > lengths[:, 0]
    pitch = float(np.median(lengths[vertical, 1])) if vertical.any() else 1.0
    top = min((tile.y_px for tile in tiles.values()), default=0.0)
    kinds: list[Kind] = []
    for edge, (dx, dy), upright in zip(edges, nominal, vertical, strict=True):
        row = round((min(tiles[edge.a].y_px, tiles[edge.b].y_px) - top) / max(pitch, 1.0))
        direction = (0, int(np.sign(dy))) if upright else (int(np.sign(dx)), 0)
        kinds.append((*direction, row % 2))
    return kinds
