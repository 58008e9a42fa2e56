"""Resolution of a single image, without truth and without threshold, by decorrelation analysis."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reconstruction.metrics.images import Image, as_image
from reconstruction.metrics.rings import spectrum

RADII = 50
HIGH_PASSES = 10
FINEST_PX = 0.15  # of the high passes
LEAST_DROP = 1e-3  # behind a maximum; less is the rounding of a curve that only rises


class Peak(NamedTuple):
    """A local maximum of a curve: its height, and its radius as a share of Nyquist's."""

    amplitude: float
    radius: float


@dataclass(frozen=True)
class Decorrelation:
    """`resolution_px`: the finest period that stands out of the noise, lower is better, 2..inf; infinite if none does.

    `amplitude` 0..1: height of the maximum without a high pass, which grows with the signal-to-noise ratio.
    """

    resolution_px: float
    amplitude: float


def decorrelation(image: NDArray[Any]) -> Decorrelation:
    """Correlate the spectrum of an image (y, x) with its phases alone inside growing discs, and find where that peaks.

    d(r) = S_r |F| / sqrt(S |F|² N_r), S_r over the N_r samples of frequency below r. Of d after none and 10 high passes
    1 - exp(-2 g² r²) the maxima (A, r) are taken; then again with finer steps around the best. The resolution is
    2 px / max r. Good for cameras; what was interpolated has its resolution overstated.
    Source: Descloux, Grussmayer and Radenovic 2019, Nature Methods 16, 918.
    """
    values = as_image(image)
    transformed = np.abs(spectrum(values))
    side = transformed.shape[0]
    along = 2 * np.fft.fftfreq(side)
    radius = np.hypot(along[:, None], along[None, :])
    inside = (radius > 0) & (radius <= 1)
    spectra = _Discs(radius[inside], transformed[inside])
    plain = _peak(*spectra.curve(None, 0.0, 1.0))
    coarsest = 2 / plain.radius if plain.radius > 0 else side / 2
    passes = np.concatenate([[side / 4], np.geomspace(coarsest, FINEST_PX, HIGH_PASSES)])
    peaks = [_peak(*spectra.curve(each, 0.0, 1.0)) for each in passes]
    best = max(range(len(peaks)), key=lambda i: peaks[i].radius)
    if peaks[best].radius > 0:
        near = passes[max(best - 1, 0)], passes[min(best + 1, len(passes) - 1)]
        step = 2 / RADII
        low, high = max(peaks[best].radius - step, 0.0), min(peaks[best].radius + 0.4, 1.0)
        peaks += [_peak(*spectra.curve(each, low, high)) for each in np.geomspace(*near, HIGH_PASSES)]
    finest = max(plain.radius, *(peak.radius for peak in peaks))
    return Decorrelation(2 / finest if finest > 0 else math.inf, plain.amplitude)


class _Discs:
    """Sums of a spectrum over discs around its middle."""

    def __init__(self, radius: Image, magnitude: Image) -> None:
        order = np.argsort(radius, kind="stable")
        self._radius, self._magnitude = radius[order], magnitude[order]
        self._square = np.square(self._radius)

    def curve(self, high_pass_px: float | None, low: float, high: float) -> tuple[Image, Image]:
        """Radii from `low` to `high`, and d at each of them."""
        magnitude = self._magnitude
        if high_pass_px is not None:
            magnitude = magnitude * -np.expm1(-2 * high_pass_px**2 * self._square)
        radii = np.linspace(low, high, RADII)
        count = np.searchsorted(self._radius, radii, side="right")
        sums = np.concatenate([[0.0], np.cumsum(magnitude)])[count]
        total = math.sqrt(float(np.square(magnitude).sum()))
        scale = total * np.sqrt(count)
        return radii, np.divide(sums, scale, out=np.zeros(RADII), where=scale > 0)


def _peak(radii: Image, curve: Image) -> Peak:
    """Find the greatest maximum with something lower behind it."""
    end = len(curve)
    while end > 1:
        at = int(curve[:end].argmax())
        if at < end - 1 and curve[at] - curve[at:end].min() >= LEAST_DROP:
            return Peak(float(curve[at]), float(radii[at]))
        end = at if at == end - 1 else end - 1
    return Peak(0.0, 0.0)
