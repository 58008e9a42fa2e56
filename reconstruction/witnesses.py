"""A displacement far from what the stage claims needs a second witness: a way round that comes to the same place.

A false match is rare and alone; a stage that is really far off shifts all edges of a tile alike, and the loops close.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import Edge
from reconstruction.stage_model import StageModel

SURPRISING = 6.0  # standard deviations of the stage model
LEAST_SURPRISE_PX = 32.0  # about where the first search ends; what only the wider one found is in doubt
CLOSES_PX = 4.0  # a loop of up to four edges, with the distortion of real tiles
DETERMINED_PX2 = 1.0

Step = NDArray[np.float64]


def believable(edges: Sequence[Edge], stage: StageModel) -> list[Edge]:
    """Keep the accepted edges that the stage does not contradict, or that a loop of others confirms.

    Args:
        edges: those that `stage` was asked about, in the same order.
    """
    accepted = {(edge.a, edge.b): _step(edge) for edge in edges if edge.accepted}
    sure = {(e.a, e.b) for e in edges if e.accepted and e.var_x_px2 + e.var_y_px2 < DETERMINED_PX2}
    steps: dict[int, dict[int, Step]] = defaultdict(dict)
    for a, b in sure:
        steps[a][b], steps[b][a] = accepted[a, b], -accepted[a, b]
    limit_px = max(SURPRISING * stage.scatter_px, LEAST_SURPRISE_PX)
    kept = []
    for edge, expected in zip(edges, stage.expected_px, strict=True):
        if not edge.accepted:
            continue
        known = np.array([edge.var_x_px2, edge.var_y_px2]) < DETERMINED_PX2
        surprise = np.abs(_step(edge) - expected)[known].max(initial=0.0)
        if surprise <= limit_px or any(_closes(way, edge, known) for way in _ways_round(edge, steps)):
            kept.append(edge)
    return kept


def _step(edge: Edge) -> Step:
    return np.array([edge.dx_px, edge.dy_px])


def _closes(way: Step, edge: Edge, known: NDArray[np.bool_]) -> bool:
    return bool(np.abs(way - _step(edge))[known].max(initial=0.0) <= CLOSES_PX)


def _ways_round(edge: Edge, steps: dict[int, dict[int, Step]]) -> Iterator[Step]:
    """Yield the displacement of `b` against `a` over one or two other tiles."""
    for via, first in steps[edge.a].items():
        if via == edge.b:
            continue
        for then, second in steps[via].items():
            if then == edge.b:
                yield first + second
            elif then != edge.a and edge.b in steps[then]:
                yield first + second + steps[then][edge.b]
