"""Grey values without their places."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.metrics.images import Image, as_image, checked_range


def histogram(image: NDArray[Any], data_range: float, bins: int = 256) -> Image:
    """Count the share of pixels in equal bins from 0 to `data_range`, (bins,), sum 1; what lies beyond too."""
    values = np.clip(as_image(image), 0, checked_range(data_range))
    return np.asarray(np.histogram(values, bins, (0, data_range))[0] / values.size)


def histogram_distance(truth: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Compute Wasserstein's distance of the grey values, in grey values; 0..inf, lower is better, 0 ideal.

    S |sorted y - sorted x| / n: how far grey values have to be moved on average. The images may differ in shape, for
    places do not count. Source: Rubner, Tomasi and Guibas 2000, IJCV 40, 99; agrees with scipy `wasserstein_distance`.
    """
    y, x = (np.sort(as_image(image), axis=None) for image in (truth, estimate))
    if y.size != x.size:
        share = (np.arange(max(y.size, x.size)) + 0.5) / max(y.size, x.size)
        y, x = (np.quantile(each, share, method="inverted_cdf") for each in (y, x))
    return float(np.abs(y - x).mean())
