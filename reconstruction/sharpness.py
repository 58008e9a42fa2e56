"""How sharp an image is, whatever its brightness and its noise.

The score is the root mean square slope of the brightness over the mean brightness. It is taken from the power spectrum,
where noise can be told from structure: beyond half a cycle per pixel there is only noise, and a ring of frequencies
counts by what stands out of it. Blur takes from every frequency, so even a single grating scores less out of focus.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

WINDOW_PX = 256
MOST_WINDOWS = 3
"""Along each side: nine windows sample all parts of a large frame within some 5 ms."""
LEAST_SIDE_PX = 16
"""A smaller image has no rings."""
RING_BINS = 2
"""Width of a ring, in steps of the shorter side's spectrum."""
LOWEST_RING = 2
"""Below lie shading, and what the taper smears around the mean."""
HIGHEST = 0.45
NOISE_FROM = 0.5
"""Cycles per pixel; in the corners of the spectrum optics passes next to nothing."""
SIGNIFICANT = 4.0
"""Standard deviations of a ring's mean: of some 60 rings, none gets so far by chance."""
TAPER_CORRELATION = 1.944
"""By how much that deviation grows because Hann's window makes neighbouring frequencies alike: the sum of the squared
correlations 1, 2/3 and 1/6, along each axis."""


def sharpness(pixels: NDArray[Any]) -> float:
    """Score an image (y, x): rms slope over mean brightness, per pixel; 0 where nothing stands out of the noise."""
    windows = _windows(pixels)
    mean = float(windows.mean())
    if min(windows.shape[1:]) < LEAST_SIDE_PX or mean <= 0.0:
        return 0.0
    shape = windows.shape[1], windows.shape[2]
    taper = np.outer(_taper(shape[0]), _taper(shape[1]))
    windows = (windows - windows.mean(axis=(1, 2), keepdims=True)) * taper
    power = np.square(np.abs(fft.rfft2(windows))).mean(axis=0, dtype=np.float64)[:, 1:-1]
    variance_per_power = 2.0 / (taper.size * float(np.square(taper).sum()))  # Parseval; a real spectrum holds half
    return 2 * np.pi * float(np.sqrt(_slope_power(power, shape, len(windows)) * variance_per_power)) / mean


def _windows(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Cut (n, y, x) windows, evenly spread over the image."""
    (height, tops), (width, lefts) = (_spread(side) for side in pixels.shape)
    cut = [pixels[top : top + height, left : left + width] for top in tops for left in lefts]
    return np.stack(cut).astype(np.float32)


def _spread(side_px: int) -> tuple[int, list[int]]:
    """Length of the windows along a side, and where they begin."""
    length = min(side_px, WINDOW_PX)
    count = min(max(side_px // WINDOW_PX, 1), MOST_WINDOWS)
    return length, [round(side_px * (i + 0.5) / count - length / 2) for i in range(count)]


@lru_cache(maxsize=4)
def _taper(side_px: int) -> NDArray[np.float32]:
    """Hann's window."""
    return np.hanning(side_px + 2)[1:-1].astype(np.float32)


@lru_cache(maxsize=4)
def _rings(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Frequency in cycles per px and ring of each place of half a spectrum, and how many places each ring has."""
    frequency = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, 1:-1])
    rings = (frequency * (min(shape) / RING_BINS)).astype(np.intp)
    return frequency, rings, np.bincount(rings.ravel())


def _slope_power(power: NDArray[np.float64], shape: tuple[int, int], averaged: int) -> float:
    """Sum frequency² times the power that is not noise, over half a spectrum that is the mean of `averaged` ones."""
    frequency, rings, counts = _rings(shape)
    noise = float(power[frequency > NOISE_FROM].mean())
    # the power of noise scatters by its own mean
    chance = TAPER_CORRELATION * noise / np.sqrt(np.maximum(counts, 1) * averaged)
    above = np.bincount(rings.ravel(), (power - noise).ravel()) / np.maximum(counts, 1)
    stands_out = above > SIGNIFICANT * chance
    stands_out[:LOWEST_RING] = False
    chosen = stands_out[rings] & (frequency < HIGHEST)
    return max(float((frequency**2 * (power - noise))[chosen].sum()), 0.0)
