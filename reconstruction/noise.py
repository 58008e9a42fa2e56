"""Noise of one frame, measured on the frame itself: variance = gain * grey value + offset (shot and read noise)."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PATCH_PX = 8
GROUPS = 12  # of patches alike in brightness
QUIETEST = 0.5  # of a group; the others hold structure
CLIPPED_SHARE = 1e-3  # of the pixels; if more are as bright as the brightest, that is where the detector ends
LEAST_VARIANCE = 1 / 12  # of the rounding to whole grey values
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # blind to planes; unit gain for white noise


@dataclass(frozen=True)
class NoiseModel:
    """Variance in grey values²: `gain` * value + `offset`, never below `LEAST_VARIANCE`."""

    gain: float
    offset: float

    def stabilised(self, frame: NDArray[Any]) -> NDArray[np.float32]:
        """Transform to unit noise everywhere (generalised Anscombe transform, Starck, Murtagh and Bijaoui 1998)."""
        values = frame.astype(np.float32)
        if self.gain <= 0:
            return values / np.float32(np.sqrt(self.offset))
        inside = self.gain * values + np.float32(0.375 * self.gain**2 + self.offset)
        return np.asarray(np.sqrt(np.maximum(inside, 0)) * np.float32(2 / self.gain), dtype=np.float32)

    def restored(self, stabilised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo `stabilised` with the asymptotically unbiased inverse, in grey values."""
        if self.gain <= 0:
            return stabilised * np.float32(np.sqrt(self.offset))
        shift = np.float32(self.gain / 8 + self.offset / self.gain)
        return np.asarray(np.square(stabilised) * np.float32(self.gain / 4) - shift, dtype=np.float32)


def measure(frame: NDArray[Any]) -> NoiseModel:
    """Fit the noise of a frame (y, x) through the quiet half of its patches, bright and dark apart.

    Patches with saturated pixels are left out, for these have no noise. A frame too small for a single patch counts as
    free of noise.
    """
    values = frame.astype(np.float32)
    squares = np.square(cv2.filter2D(values, -1, KERNEL))
    means, variances = _patches(values), _patches(squares)
    whole = _patches((values >= _ceiling(values)).astype(np.float32)) == 0
    if whole.any():
        means, variances = means[whole], variances[whole]
    if not means.size:
        return NoiseModel(0.0, LEAST_VARIANCE)
    order = np.argsort(means, kind="stable")
    bright, quiet = [], []
    for group in np.array_split(order, min(GROUPS, len(order))):
        calm = group[np.argsort(variances[group], kind="stable")[: max(1, int(len(group) * QUIETEST))]]
        bright.append(float(means[calm].mean()))
        quiet.append(float(variances[calm].mean()))
    return _line(np.array(bright), np.array(quiet) / _bias())


def _ceiling(values: NDArray[np.float32]) -> float:
    """Grey value from which on nothing is told; infinite where no pixel is saturated."""
    brightest = float(values.max())
    return brightest if float((values == brightest).mean()) > CLIPPED_SHARE else np.inf


def _patches(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of each whole patch inside the rim."""
    inner = image[1:-1, 1:-1]
    rows, columns = (size // PATCH_PX for size in inner.shape)
    cut = inner[: rows * PATCH_PX, : columns * PATCH_PX].reshape(rows, PATCH_PX, columns, PATCH_PX)
    return np.asarray(cut.mean(axis=(1, 3), dtype=np.float64)).ravel()


def _bias() -> float:
    """Mean variance of the quietest half of patches of pure noise: they scatter by this kernel's sums."""
    correlation = float(np.square(cv2.filter2D(KERNEL, -1, KERNEL, borderType=cv2.BORDER_CONSTANT)).sum())
    return 1.0 - 0.798 * float(np.sqrt(2 * max(correlation, 1.0) / PATCH_PX**2))


def _line(means: NDArray[np.float64], variances: NDArray[np.float64]) -> NoiseModel:
    """Least squares in relative error, with a gain that is not negative."""
    weight = 1 / np.maximum(variances, LEAST_VARIANCE)
    centre = float(np.average(means, weights=weight**2))
    level = float(np.average(variances, weights=weight**2))
    spread = float(((means - centre) ** 2 * weight**2).sum())
    slope = float(((means - centre) * (variances - level) * weight**2).sum()) / spread if spread > 0 else 0.0
    gain = max(slope, 0.0)
    if gain == 0.0:
        return NoiseModel(0.0, max(level, LEAST_VARIANCE))
    return NoiseModel(gain, level - gain * centre)
