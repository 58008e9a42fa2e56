"""Share of the dark phase (BCC in the alloy of the CEMI paper) in a picture of a two-phase specimen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.images import as_image

WINDOW_SHARE = 1 / 8  # of the width
PERCENT = 15.0
BINS = 256


def bradley_dark(image: NDArray[Any], window_px: int | None = None, percent: float = PERCENT) -> NDArray[np.bool_]:
    """Tell which pixels (y, x) are not brighter than (1 - percent / 100) times the mean of the window around them.

    Dark means black in a picture whose black is 0. The window is square and odd, by default an eighth of the width;
    beyond the rim the image is mirrored. Source: Bradley and Roth 2007, J. Graphics Tools 12(2), 13.

    Raises:
        InputError: the window is not positive or larger than the image, or the percentage is outside 0..100.
    """
    values = as_image(image)
    window = window_px if window_px is not None else max(round(values.shape[1] * WINDOW_SHARE), 1)
    if not 1 <= window <= min(values.shape):
        raise InputError(f"window_px: {window} is outside 1..{min(values.shape)}")
    if not 0 <= percent <= 100:
        raise InputError(f"percent: {percent:g} is outside 0..100")
    mean = ndimage.uniform_filter(values, window | 1, mode="reflect")
    return np.asarray(values <= mean * (1 - percent / 100))


def otsu_threshold(image: NDArray[Any]) -> float:
    """Find the grey value that parts two classes with the greatest variance between them, in 256 steps.

    Source: Otsu 1979, IEEE Trans. SMC 9, 62; agrees with scikit-image `threshold_otsu` to a step.
    """
    values = as_image(image)
    if np.ptp(values) == 0:
        return float(values.flat[0])
    counts, edges = np.histogram(values, BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above, rest = counts.sum() - below, (counts * centres).sum() - sums
    between = below * above * np.square(sums / below - rest / np.maximum(above, 1))
    return float(centres[int(between.argmax())])


def otsu_dark(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which pixels (y, x) are not brighter than Otsu's threshold."""
    return np.asarray(as_image(image) <= otsu_threshold(image))


def fraction_error_pp(truth: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> float:
    """Compute the absolute difference of two area shares, in percentage points; 0..100, lower is better."""
    return float(100 * abs(estimate.mean() - truth.mean()))
