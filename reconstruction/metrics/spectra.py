"""Power over spatial frequency: what was smoothed away, and what was made up."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.metrics.images import Image, as_pair
from reconstruction.metrics.rings import ring_frequencies, ring_sums, spectrum


def radial_power(image: NDArray[Any]) -> tuple[Image, Image]:
    """Average |F|² over rings; frequencies in cycles/px (0 to 0.5) and power in grey values² per sample."""
    transformed = spectrum(image)
    count = ring_sums(np.ones(transformed.shape))
    return ring_frequencies(transformed.shape[0]), ring_sums(np.abs(transformed) ** 2) / count / np.asarray(image).size


def radial_spectrum_error_db(truth: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Compute the RMS over rings of 10 log10(Px / Py), in dB; 0..inf, lower is better, 0 ideal.

    The mean (ring 0) is left out, and so are rings without any power in the truth or in the estimate, except that an
    estimate with none at all is infinitely off. An estimate at g times the contrast is off by |20 log10 g|.
    """
    y, x = as_pair(truth, estimate)
    power_y, power_x = radial_power(y)[1][1:], radial_power(x)[1][1:]
    least = 1e-20 * max(float(power_y.max()), 1e-300)
    there = (power_y > least) & (power_x > least)
    if not there.any():
        return np.inf
    return float(np.sqrt(np.mean(np.square(10 * np.log10(power_x[there] / power_y[there])))))
