"""A displacement far from what the stage claims needs a second witness: a way round that comes to the same place.

A false match is rare and alone; a stage that is really far off shifts all edges of a tile alike, and the loops close.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import Edge
from reconstruction.robust_solve import DETERMINED_PX2
from reconstruction.stage_model import StageModel

SURPRISING = 6.0  # standard deviations of the stage model
LEAST_SURPRISE_PX = 10.0
UNMEASURED_SURPRISE_PX = 32.0  # about where the first search ends; what only the wider one found is in doubt
CLOSES_PX = 4.0  # a loop of up to four edges, with the distortion of real tiles

Step = NDArray[np.float64]


@dataclass(frozen=True)
class Witness:
    """An accepted edge that is believed, and how well the stage agrees with it, 0..1."""

    edge: Edge
    likely: float


def believable(edges: Sequence[Edge], stage: StageModel) -> list[Witness]:
    """Keep the accepted edges that the stage does not contradict, or that a loop of others confirms.

    Args:
        edges: those that `stage` was asked about, in the same order.
    """
    sure = [e for e in edges if e.accepted and e.var_x_px2 + e.var_y_px2 < DETERMINED_PX2]
    steps: dict[int, dict[int, Step]] = defaultdict(dict)
    for edge in sure:
        steps[edge.a][edge.b], steps[edge.b][edge.a] = _step(edge), -_step(edge)
    least_px = LEAST_SURPRISE_PX if stage.measured else UNMEASURED_SURPRISE_PX
    limit_px = max(SURPRISING * stage.scatter_px, least_px)
    believed = []
    for edge, expected in zip(edges, stage.expected_px, strict=True):
        if not edge.accepted:
            continue
        known = np.array([edge.var_x_px2, edge.var_y_px2]) < DETERMINED_PX2
        surprise_px = float(np.abs(_step(edge) - expected)[known].max(initial=0.0))
        if surprise_px <= limit_px or any(_closes(way, edge, known) for way in _ways_round(edge, steps)):
            believed.append(Witness(edge, 1 / (1 + (surprise_px / stage.scatter_px) ** 2)))
    return believed


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
