"""Structural similarity at several scales."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_pair
from reconstruction.metrics.ssim import RADIUS_PX, ssim_terms

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of scales, each half as fine as the one before
LEAST_PX = (2 * RADIUS_PX + 1) * 2 ** (len(WEIGHTS) - 1)  # so that the window lies in the coarsest


def ms_ssim(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> float:
    """Compute the product over five scales of (mean contrast and structure)^weight, luminance on the coarsest alone.

    0..1, no unit, higher is better, 1 for equal images; a negative mean counts as 0. Each scale is the mean over 2 x 2
    pixels of the one before. Source: Wang, Simoncelli and Bovik 2003, Asilomar 37, equation 7; the terms are those of
    `ssim`.

    Raises:
        InputError: the images differ in shape or are smaller than 176 px.
    """
    y, x = as_pair(truth, estimate)
    if min(y.shape) < LEAST_PX:
        raise InputError(f"images: {y.shape[0]} x {y.shape[1]} px, MS-SSIM needs {LEAST_PX} px along each axis")
    product = 1.0
    for number, weight in enumerate(WEIGHTS, 1):
        luminance, structure = ssim_terms(y, x, data_range)
        term = structure if number < len(WEIGHTS) else luminance * structure
        inside = term[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX]
        product *= max(float(inside.mean()), 0.0) ** weight
        y, x = _halved(y), _halved(x)
    return product


def _halved(image: Image) -> Image:
    rows, columns = (size // 2 for size in image.shape)
    return np.asarray(image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3)))
