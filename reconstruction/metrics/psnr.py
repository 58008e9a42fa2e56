"""Peak signal to noise ratio: raw, and with what gain, offset or a shift explain taken out."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.metrics.fits import decibel, gain_fitted, inner, moved_by, shift_between_px
from reconstruction.metrics.images import as_pair, checked_range

ROUNDING = 1e-12  # of the range: what a fit leaves of equal images; of 16 bit, one pixel in 10^9 makes more


def psnr_db(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> float:
    """Compute 10 log10(R² / MSE) in dB, higher is better; infinite for images that are equal but for rounding.

    `data_range`: R, in grey values.

    Source: ITU-T J.340; agrees with scikit-image `peak_signal_noise_ratio`.
    """
    y, x = as_pair(truth, estimate)
    peak, error = checked_range(data_range), float(np.square(y - x).mean())
    return decibel(peak**2 / error) if error > (ROUNDING * peak) ** 2 else math.inf


def gain_fitted_psnr_db(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> float:
    """Compute the PSNR of a * estimate + b in dB, a and b least squares: never below `psnr_db`.

    Brightness and contrast are no content: a scan at another detector gain is not a worse image.
    """
    return psnr_db(truth, gain_fitted(truth, estimate), data_range)


def shift_fitted_psnr_db(truth: NDArray[Any], estimate: NDArray[Any], data_range: float) -> float:
    """Compute the PSNR in dB after the shift (below a pixel, at most 8 px) that brings the truth onto the estimate.

    The truth is moved, not the estimate, whose noise an interpolation would smooth; 12 px at each side are left out.
    """
    y, x = as_pair(truth, estimate)
    return psnr_db(inner(moved_by(y, shift_between_px(y, x))), inner(x), data_range)
