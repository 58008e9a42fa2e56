"""The camera's matrix and the stage's backlash from pictures whose displacements were measured: least squares.

Pictures follow each other in a chain; each shows a part of what the one before showed. Their places in pixels are
sums of measured displacements, known to a few hundredths of a pixel; where the stage really was is known only to its
landing error. So the stage's word is fitted by the pictures, s = A p + c - B d: p place in pixels, c unknown for each
unbroken piece of a chain, B backlash of an axis, d 1 where that axis came from above.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.camera_matrix import Matrix, pixel_size_um, rotation_deg, shear_deg

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

REFITS = 4
OUTLIER = 6.0  # standard deviations; a match on a lattice is wrong by a period, which is more
LEAST_OUTLIER_PX = 4.0  # a stage that is nearly perfect must not make outliers of its own tremble
AXES = 2


@dataclass(frozen=True)
class Chain:
    """Pictures in the order in which they were taken.

    `stage_um` (n, 2) is where the scanner said it was, `downwards` (n, 2) says which axis came from above, `step_px`
    (n - 1, 2) how far picture k + 1 lies from picture k, NaN where that could not be seen.
    """

    stage_um: Values
    downwards: Mask
    step_px: Values

    @property
    def seen(self) -> Mask:
        """Which steps could be seen (n - 1,)."""
        return np.asarray(np.isfinite(self.step_px).all(axis=1), dtype=np.bool_)


@dataclass(frozen=True)
class CameraFit:
    """What was found, each with one standard deviation."""

    matrix_um: Matrix
    pixel_size_um: float
    pixel_size_sd_um: float
    rotation_deg: float
    rotation_sd_deg: float
    shear_deg: float
    shear_sd_deg: float
    backlash_um: tuple[float, float] | None
    backlash_sd_um: tuple[float, float] | None
    landing_um: float
    """Scatter of one axis about the fit: what the stage misses its targets by, unseen by its sensors."""
    pictures: int
    steps: int
    rejected: int


class Undetermined(ValueError):
    """The pictures do not determine the matrix."""


def fit_camera(chains: Sequence[Chain]) -> CameraFit:
    """Fit all chains at once, leaving out steps that contradict the others.

    Raises:
        Undetermined: too few steps could be seen, or all along one direction.
    """
    kept = [chain.seen for chain in chains]
    seen = _count(kept)
    solution = _solve(chains, kept)
    for _ in range(REFITS):
        residuals = [_step_residuals_px(chain, solution) for chain in chains]
        limit_px = _limit_px(np.concatenate([part[mask] for part, mask in zip(residuals, kept, strict=True)]))
        believed = [mask & (part <= limit_px) for part, mask in zip(residuals, kept, strict=True)]
        if _count(believed) == _count(kept):
            break
        kept = believed
        solution = _solve(chains, kept)
    return solution.fit(seen, seen - _count(kept))


def _count(masks: Sequence[Mask]) -> int:
    return int(sum(mask.sum() for mask in masks))


@dataclass(frozen=True)
class _Solution:
    matrix_um: Values  # (2, 2)
    matrix_covariance: Values  # (2, 2, 2): of each row
    backlash_um: Values
    backlash_sd_um: Values  # infinite where nothing shows it
    scatter_um: Values
    pictures: int

    def fit(self, steps: int, rejected: int) -> CameraFit:
        pixel_um, rotation, shear = (self._derived(of) for of in (pixel_size_um, rotation_deg, shear_deg))
        shows_backlash = bool(np.isfinite(self.backlash_sd_um).all())
        return CameraFit(
            matrix_um=_as_matrix(self.matrix_um),
            pixel_size_um=pixel_um[0],
            pixel_size_sd_um=pixel_um[1],
            rotation_deg=rotation[0],
            rotation_sd_deg=rotation[1],
            shear_deg=shear[0],
            shear_sd_deg=shear[1],
            backlash_um=_pair(self.backlash_um) if shows_backlash else None,
            backlash_sd_um=_pair(self.backlash_sd_um) if shows_backlash else None,
            landing_um=float(np.sqrt(np.mean(self.scatter_um**2))),
            pictures=self.pictures,
            steps=steps,
            rejected=rejected,
        )

    def _derived(self, of: Callable[[Matrix], float]) -> tuple[float, float]:
        """A quantity of the matrix, and its standard deviation by linear propagation."""
        value = of(_as_matrix(self.matrix_um))
        nudge = 1e-6 * np.sqrt(abs(np.linalg.det(self.matrix_um)))
        variance = 0.0
        for row in range(AXES):
            slopes = np.zeros(AXES)
            for column in range(AXES):
                nudged = self.matrix_um.copy()
                nudged[row, column] += nudge
                slopes[column] = (of(_as_matrix(nudged)) - value) / nudge
            variance += float(slopes @ self.matrix_covariance[row] @ slopes)
        return value, float(np.sqrt(variance))


def _solve(chains: Sequence[Chain], kept: Sequence[Mask]) -> _Solution:
    places, stage, downwards, pieces = _stacked(chains, kept)
    offsets = np.eye(int(pieces.max()) + 1)[pieces]
    matrix, covariance = np.zeros((AXES, AXES)), np.zeros((AXES, AXES, AXES))
    backlash, backlash_sd, scatter = np.zeros(AXES), np.full(AXES, np.inf), np.zeros(AXES)
    for axis in range(AXES):
        design = np.hstack([places, offsets, -downwards[:, axis : axis + 1]])
        shows_backlash = _is_determined(design)
        if not shows_backlash:  # no unbroken piece goes both up and down
            design = design[:, :-1]
        if not _is_determined(design):
            raise Undetermined("too few pictures match their neighbours")
        inverse = np.linalg.inv(design.T @ design)
        found = inverse @ design.T @ stage[:, axis]
        freedom = len(design) - design.shape[1]
        scatter[axis] = np.sqrt(np.sum((stage[:, axis] - design @ found) ** 2) / freedom)
        matrix[axis], covariance[axis] = found[:AXES], scatter[axis] ** 2 * inverse[:AXES, :AXES]
        if shows_backlash:
            backlash[axis], backlash_sd[axis] = found[-1], scatter[axis] * np.sqrt(inverse[-1, -1])
    return _Solution(matrix, covariance, backlash, backlash_sd, scatter, len(places))


def _is_determined(design: Values) -> bool:
    """Tell whether there is an answer, and something left over to tell how good it is."""
    unknowns = design.shape[1]
    return len(design) > unknowns and bool(np.linalg.matrix_rank(design) == unknowns)


def _stacked(chains: Sequence[Chain], kept: Sequence[Mask]) -> tuple[Values, Values, Values, NDArray[np.intp]]:
    """Places in px, the stage's word in um, ways of coming (n, 2 each), and the piece (n,) of every linked picture."""
    places, stage, downwards, pieces = [], [], [], []
    piece = 0
    for chain, mask in zip(chains, kept, strict=True):
        breaks = np.flatnonzero(~mask) + 1
        for part in np.split(np.arange(len(chain.stage_um)), breaks):
            if len(part) > 1:
                steps = chain.step_px[part[:-1]]
                places.append(np.vstack([np.zeros((1, AXES)), np.cumsum(steps, axis=0)]))
                stage.append(chain.stage_um[part])
                downwards.append(chain.downwards[part].astype(float))
                pieces.append(np.full(len(part), piece))
                piece += 1
    if not places:
        raise Undetermined("no picture matches its neighbour")
    return np.vstack(places), np.vstack(stage), np.vstack(downwards), np.concatenate(pieces)


def _step_residuals_px(chain: Chain, solution: _Solution) -> Values:
    """How far each step (n - 1,) is from what the stage says, px; infinite where none was seen."""
    true_um = chain.stage_um + chain.downwards * solution.backlash_um
    expected_px = np.linalg.solve(solution.matrix_um, np.diff(true_um, axis=0).T).T
    distance = np.hypot(*(chain.step_px - expected_px).T)
    return np.where(np.isfinite(distance), distance, np.inf)


def _limit_px(residuals: Values) -> float:
    """Beyond which a step is not believed; the median of a Rayleigh distribution is 1.18 of its sigma."""
    return max(OUTLIER * float(np.median(residuals)) / 1.18, LEAST_OUTLIER_PX)


def _as_matrix(values: Values) -> Matrix:
    (a, b), (c, d) = values.tolist()
    return (a, b), (c, d)


def _pair(values: Values) -> tuple[float, float]:
    return float(values[0]), float(values[1])
