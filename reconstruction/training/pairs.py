"""Fast and slow images of one field, laid on each other to a quarter of a pixel: drift and scanner bend them apart."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.local_shifts import LocalShifts
from reconstruction.registration import register

MOST_RESIDUAL_PX = 0.25  # rms of what is left in the blocks: beyond, a network learns to blur
FEWEST_BLOCKS = 16  # of a bend; with fewer only a common shift is taken
DEGREE = 3  # of the bend in x and y: beams lag behind at the start of their lines, stages creep
OUTLIER = 3.0  # robust standard deviations of a block


@dataclass(frozen=True, eq=False)
class Pair:
    """A noisy image and a clean one of the same field, the second drawn on the first."""

    low: NDArray[Any]
    """(y, x), as it came, less a rim."""
    high: NDArray[np.float32]
    """(y, x), grey values of the clean image, at the same places."""
    residual_px: float
    """Rms of the displacements that were left between blocks of the two."""


def registered(low: NDArray[Any], high: NDArray[Any], name: str) -> Pair:
    """Draw `high` on `low`, both (y, x) of one shape: a common shift, then a smooth bend; what neither has is cut off.

    Raises:
        InputError: shapes differ, the two do not show the same, or more than `MOST_RESIDUAL_PX` is left.
    """
    if low.shape != high.shape:
        raise InputError(
            f"{name}: {low.shape[1]} x {low.shape[0]} and {high.shape[1]} x {high.shape[0]} px do not pair"
        )
    if low.dtype != high.dtype:
        raise InputError(f"{name}: {low.dtype} and {high.dtype} do not pair")
    bend = _bend(low, high, name)
    drawn = np.clip(_drawn(high, bend), high.min(), high.max())  # the interpolation overshoots at edges
    left = _bend(low, drawn.astype(np.float32), name)
    residual_px = float(np.sqrt(np.mean(np.square(left))))
    if residual_px > MOST_RESIDUAL_PX:
        raise InputError(f"{name}: {residual_px:.2f} px rms are left, above {MOST_RESIDUAL_PX}: they do not pair")
    rim = int(np.ceil(np.abs(bend).max())) + 2  # the cubic looks two pixels far
    inner = slice(rim, -rim), slice(rim, -rim)
    return Pair(np.ascontiguousarray(low[inner]), np.ascontiguousarray(drawn[inner]), residual_px)


def _bend(low: NDArray[Any], high: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Where each pixel of `low` is found in `high`, relative to it: (2, y, x), x first."""
    edge = register(0, 1, low, high, (0.0, 0.0))
    if not edge.accepted:
        raise InputError(f"{name}: the two images do not show the same field (correlation {edge.score:.2f})")
    if len(edge.local) < FEWEST_BLOCKS:
        common = np.array([-edge.dx_px, -edge.dy_px], np.float32)
        return np.asarray(np.broadcast_to(common[:, None, None], (2, *low.shape)))
    return _surface(edge.local, (low.shape[0], low.shape[1]))


def _surface(local: LocalShifts, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Fit a polynomial to the displacements of blocks, twice: the second time without those far from the first."""
    at = np.array([[block.a_x, block.a_y] for block in local])
    found = -np.array([[block.dx_px, block.dy_px] for block in local])
    terms, use = _terms(at[:, 0], at[:, 1]), np.ones(len(at), bool)
    for _ in range(2):
        weights = np.linalg.lstsq(terms[use], found[use], rcond=None)[0]
        distance = np.hypot(*(found - terms @ weights).T)
        use = distance <= OUTLIER * max(float(np.median(distance)), 0.02)
    y, x = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None, :]
    everywhere = _terms(*np.broadcast_arrays(x, y))
    return np.asarray(np.moveaxis(everywhere @ weights, -1, 0), np.float32)


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products of powers up to `DEGREE`, (..., terms)."""
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    return np.stack([x**i * y**j for i, j in powers], axis=-1)


def _drawn(high: NDArray[Any], bend: NDArray[np.float32]) -> NDArray[np.float32]:
    y, x = np.mgrid[: high.shape[0], : high.shape[1]].astype(np.float32)
    image = high.astype(np.float32)
    drawn = cv2.remap(image, x + bend[0], y + bend[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)
