"""How sharp an image is, whatever its brightness and its noise.

The score is the root mean square slope of the brightness over the mean brightness. It is taken from the power spectrum,
where noise can be told from structure: beyond half a cycle per pixel there is only noise, and a ring of frequencies
counts by what stands out of it. Blur takes from every frequency, so even a single grating scores less out of focus.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

WINDOW_PX = 256
MOST_WINDOWS = 3
"""Along each side: nine windows sample all parts of a large frame within some 5 ms."""
SAMPLE_PX, SAMPLES = 128, 2
"""The same for a quick score: four small windows, within a millisecond."""
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


DOUBT = 3.0
"""Standard deviations of noise that the comparison of two images allows for, in each."""


def sharpness(pixels: NDArray[Any]) -> float:
    """Score an image (y, x): rms slope over mean brightness, per pixel; 0 where nothing stands out of the noise."""
    return _score(_spectrum(pixels))


def sampled_sharpness(pixels: NDArray[Any]) -> float:
    """Score an image (y, x) as `sharpness` does, from a few small parts of it: for every frame of a run."""
    return _score(_spectrum(pixels, SAMPLE_PX, SAMPLES))


def sharpness_part(pixels: NDArray[Any], reference: NDArray[Any]) -> tuple[float, float]:
    """Sharpness of an image by that of one of the same shape (y, x) that shows the same; and the most it may be.

    Counts the frequencies that stand out in the reference. Where noise leaves it open whether there is anything to be
    sharp, the most is infinite.
    """
    seen, known = _spectrum(pixels), _spectrum(reference)
    if seen is None or known is None:
        return 0.0, np.inf
    chosen = known.stands_out()
    (power, sd), (reference_power, reference_sd) = seen.slope_power(chosen), known.slope_power(chosen)
    least_reference = reference_power - DOUBT * reference_sd
    if least_reference <= 0.0:
        return 0.0, np.inf
    most = max(power + DOUBT * sd, 0.0) / least_reference
    return float(np.sqrt(max(power, 0.0) / reference_power)), float(np.sqrt(most))


@dataclass(frozen=True)
class _Spectrum:
    """Power over half a spectrum, by the square of the mean brightness; the mean of `averaged` windows."""

    power: NDArray[np.float64]
    frequency: NDArray[np.float64]  # cycles per px
    rings: NDArray[np.intp]  # of each place
    counts: NDArray[np.intp]  # places of each ring
    averaged: int

    @cached_property
    def _noise(self) -> float:
        return float(self.power[self.frequency > NOISE_FROM].mean())

    def stands_out(self) -> NDArray[np.bool_]:
        """Where there is more than noise."""
        places = np.maximum(self.counts, 1)
        # the power of noise scatters by its own mean
        chance = TAPER_CORRELATION * self._noise / np.sqrt(places * self.averaged)
        above = np.bincount(self.rings.ravel(), (self.power - self._noise).ravel()) / places
        stands_out = above > SIGNIFICANT * chance
        stands_out[:LOWEST_RING] = False
        chosen: NDArray[np.bool_] = stands_out[self.rings] & (self.frequency < HIGHEST)
        return chosen

    def slope_power(self, chosen: NDArray[np.bool_]) -> tuple[float, float]:
        """Sum the square of the slope times the power that is not noise; and by how much noise lets that scatter."""
        slope = (2 * np.pi * self.frequency[chosen]) ** 2
        structure = self.power[chosen] - self._noise
        scatter = self._noise**2 + 2 * self._noise * np.maximum(structure, 0.0)  # with structure it beats
        sd = TAPER_CORRELATION * np.sqrt(float((slope**2 * scatter).sum()) / self.averaged)
        return float((slope * structure).sum()), float(sd)


def _score(spectrum: _Spectrum | None) -> float:
    if spectrum is None:
        return 0.0
    slope_power, _ = spectrum.slope_power(spectrum.stands_out())
    return float(np.sqrt(max(slope_power, 0.0)))


def _spectrum(pixels: NDArray[Any], window_px: int = WINDOW_PX, most: int = MOST_WINDOWS) -> _Spectrum | None:
    """Of an image (y, x); None where it is too small or dark to have one."""
    windows = _windows(pixels, window_px, most)
    if min(windows.shape) < 1 or min(windows.shape[1:]) < LEAST_SIDE_PX:
        return None
    mean = float(windows.mean())
    if mean <= 0.0:
        return None
    shape = windows.shape[1], windows.shape[2]
    taper = np.outer(_taper(shape[0]), _taper(shape[1]))
    windows = (windows - windows.mean(axis=(1, 2), keepdims=True)) * taper
    power = np.square(np.abs(fft.rfft2(windows))).mean(axis=0, dtype=np.float64)[:, 1:-1]
    variance_per_power = 2.0 / (taper.size * float(np.square(taper).sum()))  # Parseval; a real spectrum holds half
    return _Spectrum(power * (variance_per_power / mean**2), *_rings(shape), len(windows))


def _windows(pixels: NDArray[Any], window_px: int, most: int) -> NDArray[np.float32]:
    """Cut (n, y, x) windows, evenly spread over the image."""
    (height, tops), (width, lefts) = (_spread(side, window_px, most) for side in pixels.shape)
    cut = [pixels[top : top + height, left : left + width] for top in tops for left in lefts]
    return np.stack(cut).astype(np.float32)


def _spread(side_px: int, window_px: int, most: int) -> tuple[int, list[int]]:
    """Length of the windows along a side, and where they begin."""
    length = min(side_px, window_px)
    count = min(max(side_px // window_px, 1), most)
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
