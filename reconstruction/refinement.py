"""Shift of two overlapping images below a pixel, with its uncertainty in every direction.

Gauss-Newton on the squared difference (Lucas and Kanade 1981) with the mean of both gradients, which keeps noise from
pulling the answer. The information matrix comes from the product of one image's gradient with the other's, to which
noise does not contribute: along lines it is about zero, and the answer says that it does not know.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.strips import Image, filtered

STEPS = 6
ENOUGH_PX = 0.005
SAME_GRADIENTS_PX = 0.1  # after a smaller step, gradients need not be taken again
FARTHEST_PX = 1.5  # from the integer peak; beyond, the peak was not one
RIM_PX = 2
LEAST_INFORMATION = 0.002  # of the better direction; below, the direction counts as undetermined
DOUBT = 0.1  # the same for a match of NCC 0, whose gradients are mostly noise
UNKNOWN_PX = 1e3
DIFFERENCE = np.array([-0.5, 0.0, 0.5], np.float32)
INNER = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Refined:
    """Remaining shift (y, x) px, so that `first[p + shift]` shows `second[p]`; covariance (y, x) px²; the NCC there."""

    shift_px: Values
    covariance_px2: Values
    ncc: float
    images: tuple[Image, Image] = field(compare=False, repr=False)  # standardised
    pair: "Pair" = field(compare=False, repr=False)  # laid over each other at that shift


def refine(first: Image, second: Image, correlation_px2: float) -> Refined | None:
    """Refine two equal windows that match within a pixel or so; None where they do not.

    Args:
        first, second: (y, x) float32, high-passed.
        correlation_px2: area over which the noise of the two is correlated.
    """
    first, second = standardised(first), standardised(second)
    least = least_information(ncc(first, second))
    pair = Pair(first, second)
    shift, before_px = np.zeros(2), 0.0
    for _ in range(STEPS):
        step = solve(pair.information(), pair.pull(), least)
        shift += step
        if np.abs(shift).max() > FARTHEST_PX:
            return None
        step_px = float(np.abs(step).max())
        pair.move(_moved(first, shift), again=step_px > SAME_GRADIENTS_PX)
        if step_px**2 < ENOUGH_PX * max(step_px, before_px):  # the next step: they shrink alike
            break
        before_px = step_px
    variance = pair.scatter() * max(correlation_px2, 1.0)
    return Refined(shift, covariance(pair.information(), variance, least), pair.ncc(), (first, second), pair)


class Pair:
    """Two standardised images laid over each other: what remains between them, and the slopes that explain it."""

    def __init__(self, first: Image, second: Image) -> None:
        self._second = second
        self._of_second = _gradients(second)
        self.move(first, again=True)

    def move(self, first: Image, again: bool) -> None:
        """Lay the first image elsewhere; `again`: far enough for its gradients to differ."""
        self._first = first
        self.residual: Image = (self._second - first)[INNER]
        if again:
            self._of_first = _gradients(first)
            self._slopes = [(a + b) * np.float32(0.5) for a, b in zip(self._of_first, self._of_second, strict=True)]

    def pull(self) -> Values:
        """Right-hand side (y, x) of the step that explains most of what remains."""
        return np.array([np.vdot(slope, self.residual) for slope in self._slopes], np.float64)

    def information(self) -> Values:
        (ay, ax), (by, bx) = self._of_first, self._of_second
        across = (float(np.vdot(ay, bx)) + float(np.vdot(ax, by))) / 2
        return np.array([[float(np.vdot(ay, by)), across], [across, float(np.vdot(ax, bx))]])

    def scatter(self) -> float:
        """Mean square of what remains."""
        return float(np.vdot(self.residual, self.residual)) / self.residual.size

    def ncc(self) -> float:
        return ncc(self._first[INNER], self._second[INNER])

    def in_blocks(self, shape: tuple[int, int]) -> tuple[Values, Values]:
        """Information (blocks, 2, 2), what noise made negative of it left out, and pull (blocks, 2) of equal parts."""
        (ay, ax), (by, bx) = self._of_first, self._of_second
        across = (ay * bx + ax * by) * np.float32(0.5)
        products = (ay * by, across, ax * bx, *(slope * self.residual for slope in self._slopes))
        area = self.residual.size / (shape[0] * shape[1])
        sums = [area * cv2.resize(p, shape[::-1], interpolation=cv2.INTER_AREA).ravel() for p in products]
        yy, yx, xx, *pull = (np.asarray(total, np.float64) for total in sums)
        values, vectors = np.linalg.eigh(np.stack([yy, yx, yx, xx], -1).reshape(-1, 2, 2))
        return (vectors * np.maximum(values, 0.0)[:, None]) @ vectors.swapaxes(1, 2), np.stack(pull, -1)


def standardised(image: Image) -> Image:
    """Give the image a mean of 0 and a standard deviation of 1."""
    mean, deviation = mean_and_deviation(image)
    return np.asarray((image - np.float32(mean)) * np.float32(1.0 / max(deviation, 1e-12)))


def _moved(image: Image, shift_px: Values) -> Image:
    """Sample the image at p + shift, (y, x) px of at most `FARTHEST_PX`."""
    return filtered(image, _cubic(float(shift_px[1])), _cubic(float(shift_px[0])))


def _cubic(shift_px: float) -> Image:
    """Weights of the 7 samples around a pixel that give the value `shift_px` further on (Keys 1981)."""
    away = np.abs(np.arange(-3, 4) - shift_px)
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0)).astype(np.float32)


def _gradients(image: Image) -> tuple[Image, Image]:
    """By y and by x, central differences, without the rim."""
    inner = np.ascontiguousarray(image[INNER])
    by_y, by_x = cv2.filter2D(inner, -1, DIFFERENCE[:, None]), cv2.filter2D(inner, -1, DIFFERENCE[None, :])
    return np.asarray(by_y, np.float32), np.asarray(by_x, np.float32)


def least_information(match_ncc: float) -> float:
    """Part of the better direction's information below which the other one counts as undetermined."""
    return max(LEAST_INFORMATION, DOUBT * (1.0 - match_ncc))


def _determined(information: Values, least: float) -> tuple[Values, Values, NDArray[np.bool_]]:
    values, vectors = np.linalg.eigh(information)
    return values, vectors, values > np.maximum(least * values[..., -1:], 1e-9)


def solve(information: Values, pull: Values, least: float) -> Values:
    """Steps (..., 2) that explain pulls (..., 2), along the determined directions only."""
    values, vectors, known = _determined(information, least)
    along = np.einsum("...ji,...j->...i", vectors, pull)
    along = np.where(known, along / np.where(known, values, 1.0), 0.0)
    return np.asarray(np.einsum("...ij,...j->...i", vectors, along))


def covariance(information: Values, variance: float, least: float) -> Values:
    values, vectors, known = _determined(information, least)
    variances = np.where(known, variance / np.where(known, values, 1.0), UNKNOWN_PX**2)
    return np.asarray(vectors @ np.diag(np.minimum(variances, UNKNOWN_PX**2)) @ vectors.T)


def worst_loss(image: Image) -> float:
    """Give the NCC of an image with itself half a pixel further on: what whole pixels leave of a match at worst."""
    return ncc(_moved(image, np.full(2, 0.5))[INNER], image[INNER])


def ncc(first: Image, second: Image) -> float:
    """Zero-mean normalised cross-correlation of two equal images."""
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)  # parts take OpenCV seven times as long
    (a, a_deviation), (b, b_deviation) = mean_and_deviation(first), mean_and_deviation(second)
    norm = a_deviation * b_deviation
    return (float(np.einsum("yx,yx->", first, second)) / first.size - a * b) / norm if norm > 0 else 0.0


def mean_and_deviation(image: Image) -> tuple[float, float]:
    """Give the mean of an image and its standard deviation, in one pass."""
    mean, deviation = cv2.meanStdDev(image)
    return float(mean[0, 0]), float(deviation[0, 0])
