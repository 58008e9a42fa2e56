"""What may differ between an estimate and the truth without being an error of content: gain, offset, a small shift."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_pair

MOST_SHIFT_PX = 8
MARGIN_PX = 12  # left out at each side where images are compared after a shift
STEPS = 30
SETTLED_PX = 1e-4
STEP_PX = 1.0  # of the refinement, at most


def gain_fitted(truth: NDArray[Any], estimate: NDArray[Any]) -> Image:
    """Give a * estimate + b, (y, x), with the a and b that come closest to the truth in the least-squares sense."""
    y, x = as_pair(truth, estimate)
    away = x - x.mean()
    power = float(np.square(away).sum())
    gain = float((away * (y - y.mean())).sum()) / power if power > 0 else 0.0
    return np.asarray(gain * away + y.mean())


def shift_between_px(truth: NDArray[Any], estimate: NDArray[Any]) -> tuple[float, float]:
    """Measure how far (y, x) the truth has to be moved to lie on the estimate, within +-`MOST_SHIFT_PX`.

    The peak of the cross-correlation, then Gauss and Newton on shift, gain and offset (Lucas and Kanade 1981): the
    gradient is that of the truth, so that the noise of the estimate does not bias it.

    Raises:
        InputError: the images are smaller than 4 * `MARGIN_PX`.
    """
    y, x = as_pair(truth, estimate)
    if min(y.shape) < 4 * MARGIN_PX:
        raise InputError(f"images: {y.shape[0]} x {y.shape[1]} px, a shift needs {4 * MARGIN_PX} px along each axis")
    shift = _whole_shift(y, x)
    spline = ndimage.spline_filter(y, order=3)
    wanted = inner(x)
    for _ in range(STEPS):
        moved = ndimage.shift(spline, shift, order=3, mode="nearest", prefilter=False)
        slopes = [inner(-slope).ravel() for slope in np.gradient(moved)]
        columns = np.stack([*slopes, inner(moved).ravel(), np.ones(wanted.size)], axis=1)
        solved = np.linalg.pinv(columns.T @ columns) @ (columns.T @ wanted.ravel())
        gain = solved[2]
        if abs(gain) < 1e-12:
            break
        step = np.clip(solved[:2] / gain, -STEP_PX, STEP_PX)
        shift = np.clip(shift + step, -MOST_SHIFT_PX, MOST_SHIFT_PX)
        if np.abs(step).max() < SETTLED_PX:
            break
    return float(shift[0]), float(shift[1])


def moved_by(image: NDArray[Any], shift_px: tuple[float, float]) -> Image:
    """Move an image (y, x) by a shift (y, x) in px, with cubic splines; its rim is repeated."""
    if shift_px == (0.0, 0.0):
        return np.asarray(image, dtype=np.float64)
    return np.asarray(ndimage.shift(np.asarray(image, dtype=np.float64), shift_px, order=3, mode="nearest"))


def inner(image: Image, margin_px: int = MARGIN_PX) -> Image:
    """Leave out a margin at each side."""
    return image[margin_px : image.shape[0] - margin_px, margin_px : image.shape[1] - margin_px]


def _whole_shift(truth: Image, estimate: Image) -> NDArray[np.float64]:
    """Find the peak of the cross-correlation in whole pixels, without what is broader than the reach."""
    sizes = [fft.next_fast_len(size + MOST_SHIFT_PX, real=True) for size in truth.shape]
    spectra = []
    for image in (truth, estimate):
        fine = image - ndimage.gaussian_filter(image, MOST_SHIFT_PX, mode="nearest")
        spectra.append(fft.rfft2(fine, sizes))
    found = fft.irfft2(np.conj(spectra[0]) * spectra[1], sizes)
    reach = np.arange(-MOST_SHIFT_PX, MOST_SHIFT_PX + 1)
    near = found[np.ix_(reach, reach)]
    row, column = divmod(int(near.argmax()), near.shape[1])
    return np.array([reach[row], reach[column]], dtype=np.float64)


def decibel(power_ratio: float) -> float:
    """10 log10 of a ratio of powers; minus infinity of none."""
    return 10 * math.log10(power_ratio) if power_ratio > 0 else -math.inf
