"""Where two strips may match: peaks of a weighted cross-correlation.

The weight follows the maximum likelihood processor (Knapp and Carter 1976) with partial whitening: frequencies count
by their coherence, estimated ring by ring from the strips' own spectra, so that clean images are correlated by their
edges and noisy ones by their coarse structure, without a setting.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from reconstruction.strips import Image

WHITENING = 0.8
NOISE_RING = 0.42  # cycles per px; optics passes next to nothing above
RING_WIDTH = 0.01  # cycles per px
PEAKS = 12
PLAIN_PEAKS = 6  # of the correlation as it is: the sites of a smooth lattice may all be missing from the whitened one
PEAK_RADIUS_PX = 4  # within it lie a peak's own shoulders


@dataclass(frozen=True)
class Spectra:
    """Real transforms of two tapered strips, padded to a size that suits the transform and all shifts of interest."""

    first: NDArray[Any]
    second: NDArray[Any]
    shape: tuple[int, int]


def spectra(first: Image, second: Image, low: tuple[int, int], high: tuple[int, int]) -> Spectra:
    """Transform two tapered strips, of which shifts (y, x) within `low`..`high` inclusive are of interest."""
    needed = [max(size, end - start + 1) for size, start, end in zip(first.shape, low, high, strict=True)]
    shape = (fft.next_fast_len(needed[0], True), fft.next_fast_len(needed[1], True))
    return Spectra(fft.rfft2(first, shape), fft.rfft2(second, shape), shape)


def peaks(of: Spectra, low: tuple[int, int], high: tuple[int, int], smoothing_px: float) -> list[tuple[int, int]]:
    """List the best shifts (y, x) within `low`..`high` inclusive, best first.

    A shift s says that `first[p + s]` shows what `second[p]` shows. A whitened peak may lie beside the top of the
    correlation of the smoothed strips: then that is listed, too, and so are the greatest maxima of the latter.
    """
    cross = of.first * of.second.conj()
    sharp = _maxima(_region(_weighted(cross, of.shape), of.shape, low, high), PEAKS)
    plain = _region(cross * _gaussian(of.shape, smoothing_px), of.shape, low, high)
    found = dict.fromkeys(place for peak in sharp for place in (peak, _top(plain, peak)))
    found |= dict.fromkeys(_maxima(plain, PLAIN_PEAKS))
    return [(row + low[0], column + low[1]) for row, column in found]


def _region(
    spectrum: NDArray[Any], shape: tuple[int, int], low: tuple[int, int], high: tuple[int, int]
) -> NDArray[Any]:
    surface = fft.irfft2(spectrum, shape)
    rows, columns = (np.arange(start, end + 1) % size for start, end, size in zip(low, high, shape, strict=True))
    return np.asarray(surface[np.ix_(rows, columns)])


def _top(region: NDArray[Any], start: tuple[int, int]) -> tuple[int, int]:
    """Climb to a place with no greater value within `PEAK_RADIUS_PX`."""
    row, column = start
    while True:
        top, left = max(0, row - PEAK_RADIUS_PX), max(0, column - PEAK_RADIUS_PX)
        near = region[top : row + PEAK_RADIUS_PX + 1, left : column + PEAK_RADIUS_PX + 1]
        y, x = np.unravel_index(int(np.argmax(near)), near.shape)
        if not near[y, x] > region[row, column]:
            return row, column
        row, column = top + int(y), left + int(x)


def chance_variance(of: Spectra, smoothing_px: float) -> float:
    """Variance that the NCC of unrelated strips with these spectra has, times their area in px (Bartlett 1935)."""
    gain = _gaussian(of.shape, smoothing_px)
    first, second = (np.square(np.abs(spectrum)) * gain for spectrum in (of.first, of.second))
    total = _both_halves(first) * _both_halves(second)
    return _both_halves(first * second) / max(total, 1e-30) * of.shape[0] * of.shape[1]


@lru_cache(maxsize=32)
def _gaussian(shape: tuple[int, int], sigma_px: float) -> NDArray[np.float32]:
    """What smoothing leaves of the power of each frequency of a real spectrum."""
    falls = [
        np.exp(-np.square(2 * np.pi * sigma_px * at)) for at in (fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1]))
    ]
    return np.asarray(falls[0] * falls[1], dtype=np.float32)


def _both_halves(power: NDArray[Any]) -> float:
    """Sum over all frequencies, of which a real transform keeps half."""
    return 2.0 * float(power.sum(dtype=np.float64)) - float(power[:, 0].sum(dtype=np.float64))


def _weighted(cross: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    magnitude = np.abs(cross)
    if not magnitude.any():
        return np.asarray(cross)
    rings, counts, noise_from = _rings(shape)
    power = np.bincount(rings.ravel(), magnitude.ravel(), len(counts)) / counts
    noise = power[noise_from:].mean()
    coherence = np.clip(1.0 - noise / np.maximum(power, 1e-30), 0.0, 1.0) ** 2
    weight = coherence[rings].astype(np.float32)
    weight /= np.maximum(magnitude, 1e-6 * magnitude.max()) ** np.float32(WHITENING)
    return np.asarray(cross * weight)


@lru_cache(maxsize=32)
def _rings(shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.float64], int]:
    """Ring of each frequency of a real spectrum, pixels in each ring, and the first ring of pure noise."""
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    rings = (radius / RING_WIDTH).astype(np.intp)
    counts = np.maximum(np.bincount(rings.ravel()), 1).astype(np.float64)
    return rings, counts, int(NOISE_RING / RING_WIDTH)


def _maxima(region: NDArray[Any], most: int) -> list[tuple[int, int]]:
    """Greatest values first, none within `PEAK_RADIUS_PX` of a greater one."""
    left = region.copy()
    found: list[tuple[int, int]] = []
    for _ in range(most):
        row, column = np.unravel_index(int(np.argmax(left)), left.shape)
        if not left[row, column] > 0:
            break
        found.append((int(row), int(column)))
        r, c = max(0, int(row) - PEAK_RADIUS_PX), max(0, int(column) - PEAK_RADIUS_PX)
        left[r : int(row) + PEAK_RADIUS_PX + 1, c : int(column) + PEAK_RADIUS_PX + 1] = -np.inf
    return found
