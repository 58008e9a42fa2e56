"""Shift of two overlapping images below a pixel, with its uncertainty in every direction.

Gauss-Newton on the squared difference (Lucas and Kanade 1981) with the mean of both gradients, which keeps noise from
pulling the answer. The information matrix comes from the product of one image's gradient with the other's, to which
noise does not contribute: along lines it is about zero, and the answer says that it does not know.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.strips import Image

STEPS = 6
ENOUGH_PX = 0.005
FARTHEST_PX = 1.5  # from the integer peak; beyond, the peak was not one
RIM_PX = 2
LEAST_INFORMATION = 0.002  # of the better direction; below, the direction counts as undetermined
DOUBT = 0.1  # the same for a match of NCC 0, whose gradients are mostly noise
UNKNOWN_PX = 1e3
DIFFERENCE = np.array([-0.5, 0.0, 0.5], np.float32)


Values = NDArray[np.float64]


@dataclass(frozen=True)
class Refined:
    """Remaining shift (y, x) px, so that `first[p + shift]` shows `second[p]`; covariance (y, x) px²; the NCC there."""

    shift_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]
    ncc: float


def refine(first: Image, second: Image, correlation_px2: float) -> Refined | None:
    """Refine two equal windows that match within a pixel or so; None where they do not.

    Args:
        first, second: (y, x) float32, high-passed.
        correlation_px2: area over which the noise of the two is correlated.
    """
    first, second = _standardised(first), _standardised(second)
    inner = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    gradient_second = _gradients(second[inner])
    least = max(LEAST_INFORMATION, DOUBT * (1.0 - _ncc(first[inner], second[inner])))
    shift = np.zeros(2)
    for _ in range(STEPS):
        moved = _moved(first, shift)
        gradient_first = _gradients(moved[inner])
        slopes = (gradient_first + gradient_second) / 2
        residual = (second - moved)[inner].ravel()
        information = _information(gradient_first, gradient_second)
        step = _solve(information, slopes @ residual, least)
        shift += step
        if np.abs(shift).max() > FARTHEST_PX:
            return None
        if np.abs(step).max() < ENOUGH_PX:
            break
    moved = _moved(first, shift)
    residual = (second - moved)[inner].ravel()
    scatter = float(residual @ residual) / residual.size * max(correlation_px2, 1.0)
    return Refined(shift, _covariance(information, scatter, least), _ncc(moved[inner], second[inner]))


def _standardised(image: Image) -> Image:
    deviation = float(image.std())
    return np.asarray((image - image.mean()) / np.float32(max(deviation, 1e-12)))


def _moved(image: Image, shift_px: Values) -> Image:
    """Sample the image at p + shift, (y, x) px of at most `FARTHEST_PX`."""
    kernels = _cubic(float(shift_px[1])), _cubic(float(shift_px[0]))
    return np.asarray(cv2.sepFilter2D(image, -1, *kernels, borderType=cv2.BORDER_REPLICATE), np.float32)


def _cubic(shift_px: float) -> Image:
    """Weights of the 7 samples around a pixel that give the value `shift_px` further on (Keys 1981)."""
    away = np.abs(np.arange(-3, 4) - shift_px)
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0)).astype(np.float32)


def _gradients(image: Image) -> Image:
    """(2, pixels): by y, by x; central differences."""
    by_y = cv2.filter2D(image, -1, DIFFERENCE[:, None])
    by_x = cv2.filter2D(image, -1, DIFFERENCE[None, :])
    return np.stack([by_y.ravel(), by_x.ravel()])


def _information(first: Image, second: Image) -> Values:
    product = first @ second.T
    return np.asarray((product + product.T) / 2, dtype=np.float64)


def _determined(information: Values, least: float) -> tuple[Values, Values, NDArray[np.bool_]]:
    values, vectors = np.linalg.eigh(information)
    return values, vectors, values > max(least * values[-1], 1e-9)


def _solve(information: NDArray[np.float64], right: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    values, vectors, known = _determined(information, least)
    along = vectors.T @ right
    return np.asarray(vectors @ np.where(known, along / np.where(known, values, 1.0), 0.0))


def _covariance(information: NDArray[np.float64], scatter: float, least: float) -> NDArray[np.float64]:
    values, vectors, known = _determined(information, least)
    variances = np.where(known, scatter / np.where(known, values, 1.0), UNKNOWN_PX**2)
    return np.asarray(vectors @ np.diag(np.minimum(variances, UNKNOWN_PX**2)) @ vectors.T)


def _ncc(first: Image, second: Image) -> float:
    a, b = first.ravel() - first.mean(), second.ravel() - second.mean()
    norm = float(np.sqrt(float(a @ a) * float(b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
