"""Fourier ring correlation: up to which frequency two images of one field agree."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import savgol_filter

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_pair
from reconstruction.metrics.rings import ring_frequencies, ring_sums, spectrum

THRESHOLD = 1 / 7
SMOOTHED_SHARE, SMOOTHED_ORDER = 0.0707, 3  # of the curve, by Savitzky and Golay
LEAST_WINDOW = 5
NYQUIST_PX = 2.0  # the finest period that pixels can show
LEAST_BLOCK_PX = 64  # the correlation of smaller blocks is noise


@dataclass(frozen=True)
class FrcCurve:
    """Correlation -1..1 of each ring, at frequencies in cycles per pixel."""

    frequency_per_px: Image
    correlation: Image

    def smoothed(self) -> Image:
        """The correlation without most of its scatter."""
        window = max(LEAST_WINDOW, 2 * round(SMOOTHED_SHARE * len(self.correlation) / 2) + 1)
        if len(self.correlation) < window:
            return self.correlation
        return np.asarray(savgol_filter(self.correlation, window, SMOOTHED_ORDER))


@dataclass(frozen=True)
class FrcResolution:
    """Period in px at which the correlation first falls below the threshold; `crossed` False: it never does."""

    period_px: float
    crossed: bool


def frc(first: NDArray[Any], second: NDArray[Any]) -> FrcCurve:
    """Correlate two images (y, x) ring by ring: Re S F1 F2* / sqrt(S|F1|² S|F2|²), -1..1; 1 for equal images.

    The images lose their mean, are faded out by Tukey's window (0.25) and padded to an even square. Rings without power
    count as 0. Only for two images with independent noise is the crossing a resolution; against a truth it tells how
    far both agree. Source: Saxton and Baumeister 1982, J. Microsc. 127, 127.

    Raises:
        InputError: the shapes differ.
    """
    one, other = (spectrum(image) for image in as_pair(first, second))
    together = ring_sums((one * other.conj()).real)
    power = np.sqrt(ring_sums(np.abs(one) ** 2) * ring_sums(np.abs(other) ** 2))
    correlation = np.divide(together, power, out=np.zeros_like(together), where=power > 0)
    return FrcCurve(ring_frequencies(one.shape[0]), correlation)


def frc_resolution(curve: FrcCurve, threshold: float = THRESHOLD) -> FrcResolution:
    """Find where the smoothed curve first falls below the threshold (1/7), between rings by a straight line.

    Without a crossing: the Nyquist period of 2 px, and `crossed` False. Lower is better; 2..inf px.
    Source of the threshold: Nieuwenhuizen et al. 2013, Nature Methods 10, 557.
    """
    values = curve.smoothed()
    below = np.flatnonzero(values[1:] < threshold) + 1  # ring 0 holds the mean, which was taken out
    if not below.size:
        return FrcResolution(NYQUIST_PX, False)
    at = int(below[0])
    if at == 1:
        return FrcResolution(float(1 / curve.frequency_per_px[1]), True)
    part = (values[at - 1] - threshold) / (values[at - 1] - values[at])
    low, high = curve.frequency_per_px[at - 1 : at + 1]
    return FrcResolution(float(1 / (low + part * (high - low))), True)


def block_frc_map(first: NDArray[Any], second: NDArray[Any], blocks: int = 10) -> Image:
    """Find the FRC resolution in each of blocks x blocks equal parts, px, (blocks, blocks); lower is better.

    A block in which an image is constant takes the value of the nearest other one, and NaN if there is none.
    Source: NanoJ-SQUIRREL, Culley et al. 2018, Nature Methods 15, 263.

    Raises:
        InputError: the shapes differ, or a block would be smaller than 64 px.
    """
    one, other = as_pair(first, second)
    most = min(one.shape) // LEAST_BLOCK_PX
    if not 1 <= blocks <= most:
        raise InputError(
            f"blocks: {blocks} is outside 1..{most}: of {one.shape[0]} x {one.shape[1]} px, "
            f"blocks should have {LEAST_BLOCK_PX} px or more"
        )
    found = np.full((blocks, blocks), math.nan)
    rows, columns = (np.linspace(0, size, blocks + 1).astype(int) for size in one.shape)
    for i, j in np.ndindex(blocks, blocks):
        part = slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])
        if np.ptp(one[part]) > 0 and np.ptp(other[part]) > 0:
            found[i, j] = frc_resolution(frc(one[part], other[part])).period_px
    missing = np.isnan(found)
    if missing.all() or not missing.any():
        return found
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(found[tuple(nearest)])
