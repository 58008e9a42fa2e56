"""Would these frames have been stitched? Tiles are cut out of two exposures of a field, and registered."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reconstruction.evaluation.data import Case
from reconstruction.registration import register

TILE_PX = 128
OVERLAP = 0.25
MOST_PAIRS = 24  # of an image, of which half lie side by side and half on each other
STAGE_ERROR_PX = 3.0  # at most, along each axis
RIGHT_PX = 1.0  # away from where it was cut
GROUPS = 16  # of pixels alike in brightness
LEAST_VARIANCE = 1e-6
SEED = 3


class Acceptance(NamedTuple):
    """Of `pairs` neighbouring tiles: how many displacements were believed, and how many of these are wrong.

    `error_px`: rms distance of the right ones from the truth; NaN without any.
    """

    pairs: int
    accepted: int
    wrong: int
    error_px: float


def second_exposure(case: Case) -> NDArray[Any]:
    """Photograph a case again: its truth with the noise of its frame, moved on by half a frame.

    The noise is brought from the brightness where it was measured to that where it is put. So it is of the same kind,
    also along lines, and independent at each place; two tiles cut out of one frame would be matched by their noise.
    """
    assert case.truth is not None
    noise = case.frame.astype(np.float64) - case.truth
    deviation = _deviation(case.truth, noise)
    elsewhere = tuple(size // 2 for size in noise.shape)
    moved = np.roll(noise / deviation, elsewhere, (0, 1)) * deviation
    most = np.iinfo(case.frame.dtype).max
    return np.clip(np.rint(case.truth + moved), 0, most).astype(case.frame.dtype)


def acceptance(first: NDArray[Any], second: NDArray[Any]) -> Acceptance:
    """Register tiles of 128 px that overlap by a quarter, cut out of two exposures (y, x) of one field."""
    random = np.random.default_rng(SEED)
    step = round(TILE_PX * (1 - OVERLAP))
    pairs = accepted = wrong = 0
    squares: list[float] = []
    for axis in (0, 1):
        for corner in _corners(first.shape, axis, step):
            other = corner + np.array([step, 0] if axis == 0 else [0, step])
            claimed = other - corner + random.uniform(-STAGE_ERROR_PX, STAGE_ERROR_PX, 2)
            edge = register(0, 1, _tile(first, corner), _tile(second, other), (float(claimed[1]), float(claimed[0])))
            away = [edge.dy_px, edge.dx_px] - (other - corner)
            off = bool(np.abs(away).max() > RIGHT_PX)
            pairs += 1
            accepted += edge.accepted
            wrong += edge.accepted and off
            if edge.accepted and not off:
                squares.append(float(away @ away))
    return Acceptance(pairs, accepted, wrong, math.sqrt(np.mean(squares)) if squares else math.nan)


def _corners(shape: tuple[int, ...], axis: int, step: int) -> list[NDArray[np.int64]]:
    """Where first tiles (y, x) can lie, evenly spread; none in an image too small for two of them."""
    room = [size - TILE_PX - (step if axis == along else 0) for along, size in enumerate(shape)]
    if min(room) < 0:
        return []
    rows = 3
    columns = MOST_PAIRS // 2 // rows
    places = [np.unique(np.linspace(0, space, n).astype(int)) for space, n in zip(room, (rows, columns), strict=True)]
    return [np.array([y, x]) for y in places[0] for x in places[1]]


def _tile(image: NDArray[Any], corner: NDArray[np.int64]) -> NDArray[Any]:
    y, x = corner
    return image[y : y + TILE_PX, x : x + TILE_PX]


def _deviation(truth: NDArray[np.float32], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the noise at the brightness of each pixel, a smooth curve through groups of pixels."""
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, GROUPS + 1)))
    group = np.searchsorted(edges[1:-1], truth.ravel(), side="right")
    count = np.bincount(group)
    there = count > 0
    bright, mean, square = (
        np.bincount(group, values.ravel())[there] / count[there] for values in (truth, noise, np.square(noise))
    )
    return np.asarray(np.interp(truth, bright, np.sqrt(np.maximum(square - mean**2, LEAST_VARIANCE))))
