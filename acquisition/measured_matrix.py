"""The camera's matrix as a running scan shows it: where the stage was against where its frames belong.

The displacements among the tiles place them, in pixels q, to a few hundredths of one; the stage says s and misses its
targets by pixels. So s = A q + offset is fitted over the tiles, with A = M A0, A0 the matrix in use, and
M = 1 + [[a + c, e - b], [e + b, a - c]]: a scale, b turn, c and e what is neither. The pixels of a sensor are square,
so that c and e are small beforehand; as long as there is one row only it determines the scale and the turn, and the
second row adds the rest.

The stage lands once for all tiles of a sweep, so that they share an offset of their own: where rows are swept, it is
the number of rows and not that of tiles which tells what lies across them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.places import Place
from reconstruction.placement import place
from reconstruction.registration import Edge
from reconstruction.sources import Tile

BEFOREHAND = (0.1, 0.1, 0.003, 0.003)
"""Standard deviations of a, b, c, e: nobody knows scale and turn; stage axes are square to a few mrad."""
ASSUMED_SCATTER_PX = 3.0
"""Of where a stage lands, along one axis, until enough tiles tell; of sweeps there are never enough."""
LEAST_SCATTER_PX = 0.5
"""A stage may be better, but a placement need not be."""
ENOUGH_SAMPLES = 20
LEAST_TILES = 3
MAD_TO_SIGMA = 1.4826
DOUBTED = 4.0
"""Standard deviations at which a tile counts no more (Tukey's biweight)."""
REFITS = 20
CONVERGED = 1e-7
STEPPED: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class Measured:
    """`matrix_um` 2 x 2, and the standard deviation of its relative error: along x or along y, whichever is greater."""

    matrix_um: NDArray[np.float64]
    relative_sd: float
    tiles: int


def measured_matrix(
    field: Field, places: Mapping[int, Place], edges: Iterable[Edge], sweeps: Mapping[int, int] = STEPPED
) -> Measured | None:
    """Fit the matrix to the tiles that registration joins; None if there are fewer than three.

    Args:
        field: the matrix in use is its.
        places: of the tiles, by index.
        sweeps: the number of the sweep that a tile was taken in, by index; a tile that was stepped to has none.
    """
    nominal_px = {index: field.to_px((spot.x_um, spot.y_um)) for index, spot in places.items()}
    tiles = [
        Tile(index, str(index), float(x), float(y), all(places[index].sure)) for index, (x, y) in nominal_px.items()
    ]
    joined = [placed for placed in place(tiles, list(edges)).tiles.values() if placed.placed_by == "registration"]
    if len(joined) < LEAST_TILES:
        return None
    spots = [places[placed.tile.index] for placed in joined]
    seen_um = np.array([(placed.x_px, placed.y_px) for placed in joined]) @ field.matrix_um.T
    said_um = np.array([(spot.x_um, spot.y_um) for spot in spots])
    sure = np.array([spot.sure for spot in spots])
    seen_um, said_um = seen_um - seen_um.mean(axis=0), said_um - said_um.mean(axis=0)
    sweep = np.array([sweeps.get(placed.tile.index, -1) for placed in joined])
    design = np.concatenate([_design(seen_um), _shared(sweep)], axis=2)
    (a, b, c, e), sd = _fitted(design[sure], (said_um - seen_um)[sure], field.pixel_size_um)
    matrix = (np.eye(2) + np.array([[a + c, e - b], [e + b, a - c]])) @ field.matrix_um
    return Measured(matrix, sd, len(joined))


def _design(seen_um: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much x and y of each place change with a, b, c, e and the offsets; (n, 2, 6)."""
    x, y = seen_um.T
    none, one = np.zeros_like(x), np.ones_like(x)
    return np.stack([np.stack([x, -y, x, y, one, none], axis=1), np.stack([y, x, -y, x, none, one], axis=1)], axis=1)


def _shared(sweep: NDArray[np.intp]) -> NDArray[np.float64]:
    """Which x and y each change with the x and y that each sweep of `sweep` (n,) landed off; (n, 2, 2 sweeps)."""
    within = sweep[:, None] == np.unique(sweep[sweep >= 0])
    return np.kron(within, np.eye(2)).reshape(len(sweep), 2, -1)


def _fitted(
    design: NDArray[np.float64], difference: NDArray[np.float64], pixel_um: float
) -> tuple[NDArray[np.float64], float]:
    """Robust least squares (Tukey's biweight, scatter by the median): a, b, c, e, and how uncertain they are."""
    free = len(BEFOREHAND)
    weights = np.ones_like(difference)
    scatter_um = ASSUMED_SCATTER_PX * pixel_um
    landings = design.shape[1] - free - 2
    prior = np.diag([*np.power(BEFOREHAND, -2.0), 0.0, 0.0, *[scatter_um**-2] * landings])
    found: NDArray[np.float64] = np.zeros(len(prior))
    information = prior
    for _ in range(REFITS):
        weighted = design * (weights / scatter_um**2)[:, None]
        information = weighted.T @ design + prior
        before, found = found, np.asarray(np.linalg.solve(information, weighted.T @ difference), dtype=np.float64)
        left_um = np.abs(difference - design @ found)
        if len(left_um) >= ENOUGH_SAMPLES:
            fitted = len(prior) - np.trace(np.linalg.solve(information, prior))  # took that part of the scatter away
            used = len(left_um) / (len(left_um) - fitted)
            scatter_um = max(MAD_TO_SIGMA * float(np.median(left_um)) * np.sqrt(used), LEAST_SCATTER_PX * pixel_um)
        weights = np.square(np.clip(1 - np.square(left_um / (DOUBTED * scatter_um)), 0, None))
        if np.abs(found - before)[:free].max() < CONVERGED:
            break
    covariance = np.linalg.inv(information)[:free, :free]
    steps = _design(np.eye(2))[:, :, :free]  # what a step along x and one along y are off by
    return found[:free], float(np.sqrt(np.linalg.eigvalsh(steps @ covariance @ steps.transpose(0, 2, 1)).max()))
