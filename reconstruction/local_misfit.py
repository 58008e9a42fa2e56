"""Where a restored frame does not explain the raw one: particles that it invented, or took away.

What is left of the frame, once what the restored one lets expect is taken from it, should be noise. It is averaged
under a Gaussian, at three sizes; where the average stands out of the noise that was measured on the frame, something is
there that the noise does not explain. How far pure noise gets anywhere in a frame is known (Adler 1981).
"""

from dataclasses import dataclass
from math import erfc, exp, log, pi, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from reconstruction.explained import ROUNDING, expected
from reconstruction.noise import LEAST_VARIANCE, NoiseModel, measure

SIGMA_PX = 2.5  # of the Gaussian: fits a particle of a radius of 4 px
SIZES = 3  # each twice the one before
FALSE_ALARMS = 0.01  # of frames of which nothing is wrong
LEAST_PX = 16  # of a frame, along each axis
OUTLIER = 4.0  # deviations of a single pixel, beyond which more of it says no more: hot pixels are no structure
OUTLIER_QUANTA = 2.0  # beside those, for frames of few quanta
EDGE_PX = 0.03  # by which an edge may be off
RIM_PX = 4  # of each size, where a denoiser sees one side alone, and where the next tile tells
CUT_SHARE = 1e-3  # of pixels at the lowest or highest grey value, from which on noise is cut off there
WIDER = 4.0  # by how many times the share of cut pixels their frame's noise may be stronger than measured
MOST_CUT = 0.2  # share of cut pixels; more says no more
MOST_SPREAD = 3.0  # by which noise may be alike along lines; more is no noise
MAD_TO_SIGMA = 1.4826
ACROSS: NDArray[np.float64] = np.array([1.0, -2.0, 1.0]) / sqrt(
    6
)  # of lines: blind to what is wider than a few of them
KERNEL: NDArray[np.float64] = np.asarray(cv2.getGaussianKernel(2 * 8 + 1, SIGMA_PX), np.float64)
SQUARED = np.square(KERNEL)

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Misfit:
    """What a restored frame explains least of its raw one.

    `strength`: deviations of the noise, averaged alike; `limit`: that noise alone exceeds in `FALSE_ALARMS` of frames.
    (`x_px`, `y_px`) is its middle in the raw frame, `radius_px` about its size. `excess`: the frame is brighter there
    than its restored self says: something bright was taken away or something dark invented; else the reverse.
    """

    strength: float
    limit: float
    x_px: int
    y_px: int
    radius_px: float
    excess: bool

    @property
    def stands_out(self) -> bool:
        """Whether it is more than noise."""
        return self.strength > self.limit

    def facts(self) -> dict[str, float | bool]:
        """What journals and reports say of it."""
        rounded = {"strength": round(self.strength, 2), "limit": round(self.limit, 2), "radius_px": self.radius_px}
        return {**rounded, "x_px": self.x_px, "y_px": self.y_px, "excess": self.excess}


def local_misfit(frame: NDArray[Any], restored: NDArray[Any]) -> Misfit | None:
    """Find where a restored frame explains its raw one (y, x) least; None of a frame too small to tell.

    It sees a particle of a radius of 4 px as bright as the noise is strong (one standard deviation), and at least two
    grey values, in most cases, larger or stronger ones always.

    Args:
        restored: `frame`, or a whole number of times as many pixels along each axis.
    """
    if min(frame.shape) < LEAST_PX:
        return None
    noise = _widened(measure(frame), frame)
    mean = float(frame.mean())
    should, _ = expected(frame, restored, sqrt(max(noise.gain * mean + noise.offset, LEAST_VARIANCE)))
    variance = np.maximum(noise.gain * should + noise.offset, LEAST_VARIANCE).astype(np.float32)
    left = _without_outliers(frame.astype(np.float32) - should, variance, noise)
    allowed = _allowed(frame, should, variance)
    limit = highest_of_noise((frame.shape[0], frame.shape[1]))
    found: list[Misfit] = []
    for size in range(SIZES):
        if size:
            left, variance, allowed = _halved(left), _halved(variance) / 4, _halved(allowed)
        if min(left.shape) < LEAST_PX:
            break
        standing = _standing_out(left, variance, allowed, noise.gain / 4**size)[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        y, x = divmod(int(np.abs(standing).argmax()), standing.shape[1])
        height, scale = float(standing[y, x]), 2**size
        at = int((x + RIM_PX + 0.5) * scale), int((y + RIM_PX + 0.5) * scale)
        found.append(Misfit(abs(height), limit, *at, radius_px=1.6 * SIGMA_PX * scale, excess=height > 0))
    return max(found, key=lambda misfit: misfit.strength)


def highest_of_noise(shape: tuple[int, int], share: float = FALSE_ALARMS) -> float:
    """Give the height, in deviations, that averaged noise of a frame (y, x) exceeds in such a share of all frames.

    From the expected Euler characteristic of a Gaussian field above a level (Adler 1981, theorem 5.4.1), both signs and
    all sizes.
    """
    sides = [[side // 2**size for side in shape] for size in range(SIZES)]
    sides = [[side - 2 * RIM_PX for side in pair] for pair in sides if min(pair) >= LEAST_PX]
    slope = 1 / (2 * SIGMA_PX**2)  # variance of the slope of a field of unit variance
    area = slope * sum(rows * columns for rows, columns in sides) / (2 * pi) ** 1.5
    rim = sqrt(slope) * sum(rows + columns for rows, columns in sides) / (2 * pi)
    level = 4.0
    for _ in range(50):
        single = len(sides) * 0.5 * erfc(level / sqrt(2)) * exp(level**2 / 2)
        level = sqrt(2 * log(max(2 * (area * level + rim + single) / share, 1.01)))
    return level


def _widened(noise: NoiseModel, frame: NDArray[Any]) -> NoiseModel:
    """Take noise for stronger where bright areas are cut off: calm patches alone are left to measure it there.

    A line through these is too flat, and too low in dark areas; shot noise begins at the darkest pixel at the latest.
    """
    share = float((frame == frame.max()).mean())
    if not CUT_SHARE < share < 1:
        return noise
    wider = 1 + WIDER * min(share, MOST_CUT)
    gain = noise.gain * wider
    return NoiseModel(gain, max(noise.offset * wider, -gain * float(frame.min())))


def _without_outliers(left: Image, variance: Image, noise: NoiseModel) -> Image:
    most = OUTLIER * np.sqrt(variance) + np.float32(OUTLIER_QUANTA * noise.gain)
    return np.clip(left, -most, most)


def _allowed(frame: NDArray[Any], should: Image, variance: Image) -> Image:
    """How far what is left may be off on average, without anything being wrong.

    The restored frame is rounded, its edges may lie a little beside, and where grey values end the mean of what came
    is not the mean of what was there.
    """
    slope = np.hypot(*(cv2.Sobel(should, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1))))
    allowed = ROUNDING + np.float32(EDGE_PX) * slope
    sd = np.sqrt(variance)
    for end, sign in ((float(frame.min()), 1.0), (float(frame.max()), -1.0)):
        away = np.asarray(np.float32(sign) * (should - np.float32(end)) / sd, np.float32)
        if (frame == end).mean() > CUT_SHARE:
            allowed += sd * _cut(away)
    return np.asarray(allowed, np.float32)


def _cut(away: Image) -> Image:
    """Mean of what a normal distribution loses at an end that is so many deviations away, in deviations."""
    inside = np.maximum(away, 0)
    bell = np.exp(-0.5 * np.square(inside)) / np.float32(sqrt(2 * pi))
    return np.asarray(bell - inside * ndtr(-inside), np.float32)


def _standing_out(left: Image, variance: Image, allowed: Image, gain: float) -> Image:
    """Average what is left (y, x); in deviations of the averaged noise, less what is allowed."""
    found, squared = _averaged(left, KERNEL), np.sqrt(_averaged(variance, SQUARED))
    spread = _spread(left, variance)
    beyond = np.sign(found) * np.maximum(np.abs(found) - _averaged(allowed, KERNEL), 0)
    return _normal(beyond, squared, gain) / np.float32(np.clip(spread, 1.0, MOST_SPREAD))


def _spread(left: Image, variance: Image) -> float:
    """How much stronger noise is after averaging than it would be if it were not alike along lines.

    Lines differ by noise, so that a misfit all over the frame, which is alike in neighbouring lines, does not count.
    """
    across = cv2.sepFilter2D(left, -1, KERNEL, ACROSS, borderType=cv2.BORDER_REFLECT_101)
    white = cv2.sepFilter2D(variance, -1, SQUARED, np.square(ACROSS), borderType=cv2.BORDER_REFLECT_101)
    return MAD_TO_SIGMA * float(np.median(np.abs(across / np.sqrt(white))))


def _normal(beyond: Image, sd: Image, gain: float) -> Image:
    """Turn sums of counts into deviations of a normal distribution: signed root of the deviance of Poisson's."""
    quantum = gain * float((KERNEL * SQUARED).sum() / SQUARED.sum()) ** 2
    if quantum <= 1e-3 * float(sd.min()):
        return np.asarray(beyond / sd, np.float32)
    mean = np.square(sd / np.float32(quantum))
    seen = np.maximum(mean + beyond / np.float32(quantum), 1e-6 * mean)
    deviance = 2 * (seen * np.log(seen / mean) - (seen - mean))
    return np.asarray(np.sign(beyond) * np.sqrt(np.maximum(deviance, 0)), np.float32)


def _averaged(image: Image, kernel: NDArray[np.float64]) -> Image:
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT), np.float32)


def _halved(image: Image) -> Image:
    rows, columns = (size // 2 for size in image.shape)
    cut = image[: rows * 2, : columns * 2]
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
