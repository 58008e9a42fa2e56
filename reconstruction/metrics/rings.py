"""Spectra of images, summed over rings of equal spatial frequency."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal.windows import tukey

from reconstruction.metrics.images import Image, as_image

TAPER = 0.25  # of Tukey's window: the share of each axis that is faded in and out


def spectrum(image: NDArray[Any]) -> NDArray[np.complex128]:
    """Transform an image (y, x) without its mean, faded out at its rim, in the middle of an even square; (n, n)."""
    values = as_image(image)
    faded = (values - values.mean()) * np.outer(*(tukey(size, TAPER) for size in values.shape))
    side = max(values.shape) + max(values.shape) % 2
    return np.asarray(fft.fft2(faded, (side, side)), dtype=np.complex128)


def ring_frequencies(side: int) -> Image:
    """Frequency of each ring of a spectrum (side, side), in cycles per pixel: 0 to 0.5."""
    return np.arange(side // 2 + 1) / side


def ring_sums(values: NDArray[np.float64]) -> Image:
    """Sum what lies in a spectrum's layout (n, n) over rings one sample wide, (n // 2 + 1,); corners are left out."""
    side = values.shape[0]
    along = fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(along[:, None], along[None, :])).astype(int)
    return np.asarray(np.bincount(ring.ravel(), values.ravel(), minlength=side)[: side // 2 + 1])
