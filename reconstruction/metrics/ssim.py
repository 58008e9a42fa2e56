"""Structural similarity."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_pair, checked_range

SIGMA_PX, RADIUS_PX = 1.5, 5  # a window of 11 x 11
K1, K2 = 0.01, 0.03


def ssim(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> float:
    """Compute the mean of `ssim_map` where the window lies inside; -1..1, no unit, higher is better, 1 for equal ones.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, IEEE TIP 13, 600; agrees with scikit-image
    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
    """
    return float(ssim_map(truth, estimate, data_range)[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX].mean())


def ssim_map(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> Image:
    """Compute (2 my mx + C1)(2 syx + C2) / ((my² + mx² + C1)(sy² + sx² + C2)) at each pixel, (y, x), -1..1.

    C1 = (0.01 R)², C2 = (0.03 R)²; the moments are weighted by a Gaussian of 1.5 px in 11 x 11.

    Raises:
        InputError: the images differ in shape or are smaller than the window.
    """
    luminance, structure = ssim_terms(truth, estimate, data_range)
    return luminance * structure


def ssim_terms(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> tuple[Image, Image]:
    """Compute both factors of `ssim_map`, each (y, x): of luminance, and of contrast and structure.

    Raises:
        InputError: as `ssim_map`.
    """
    y, x = as_pair(truth, estimate)
    if min(y.shape) <= 2 * RADIUS_PX:
        raise InputError(f"images: {y.shape[0]} x {y.shape[1]} px, SSIM needs {2 * RADIUS_PX + 1} px along each axis")
    c1, c2 = (K1 * checked_range(data_range)) ** 2, (K2 * data_range) ** 2
    mean_y, mean_x = _weighted(y), _weighted(x)
    var_y, var_x = _weighted(y * y) - mean_y**2, _weighted(x * x) - mean_x**2
    covariance = _weighted(y * x) - mean_y * mean_x
    luminance = (2 * mean_y * mean_x + c1) / (mean_y**2 + mean_x**2 + c1)
    return np.asarray(luminance), np.asarray((2 * covariance + c2) / (var_y + var_x + c2))


def _weighted(image: Image) -> Image:
    return np.asarray(ndimage.gaussian_filter(image, SIGMA_PX, radius=RADIUS_PX))
