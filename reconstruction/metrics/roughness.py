"""Critical dimension and roughness of printed lines; the noise of the image taken out of the latter.

Sources: Constantoudis, Patsis, Leunissen and Gogolides 2004, J. Vac. Sci. Technol. B 22, 1974 (definitions);
Mack 2013, J. Micro/Nanolith. MEMS MOEMS 12, 033016 (spectrum); Lorusso et al. 2018, 17, 041009 (unbiased roughness).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image
from reconstruction.metrics.line_edges import LineEdges

LEAST_ROWS = 32
HURST_RANGE = 0.1, 1.0
FIT = {"maxiter": 600, "xatol": 1e-3, "fatol": 1e-3}
LEAST_BIN = 2  # of the spectrum: taking out the mean and the tilt has changed what lies below


class Spectrum(NamedTuple):
    """Power spectral density in nm³ (two-sided) at frequencies 0 to Nyquist in 1/nm, of profiles of `rows` samples."""

    frequency_per_nm: Image
    psd_nm3: Image
    rows: int

    @property
    def variance_nm2(self) -> float:
        """Sum over all frequencies of both signs, nm² (Parseval): the mean square of the profiles."""
        both = np.full(len(self.psd_nm3), 2.0)
        both[0] = 1.0
        if self.rows % 2 == 0:
            both[-1] = 1.0
        return float((both * self.psd_nm3).sum() * self.frequency_per_nm[1])


class RoughnessModel(NamedTuple):
    """Standard deviation and correlation length in nm, Hurst exponent, and the white noise below in nm³."""

    sigma_nm: float
    correlation_nm: float
    hurst: float
    floor_nm3: float

    def psd_nm3(self, frequency_per_nm: NDArray[np.float64]) -> Image:
        """2 sqrt(pi) G(H + 1/2) / G(H) s² x / (1 + (2 pi f x)²)^(H + 1/2) + N0; s² is its integral over all f."""
        shape = math.exp(gammaln(self.hurst + 0.5) - gammaln(self.hurst))
        top = 2 * math.sqrt(math.pi) * shape * self.sigma_nm**2 * self.correlation_nm
        slope = (1 + (2 * np.pi * frequency_per_nm * self.correlation_nm) ** 2) ** (self.hurst + 0.5)
        return np.asarray(top / slope + self.floor_nm3)


@dataclass(frozen=True)
class Roughness:
    """Of all lines of an image, nm. Critical dimension (mean width); line width and line edge roughness are 3 sigma.

    The unbiased ones are without the noise floor: 0 where there is no more than noise. Uncorrelated edges have a width
    roughness of sqrt(2) times the edge roughness.
    """

    cd_nm: float
    lwr_nm: float
    ler_nm: float
    unbiased_lwr_nm: float
    unbiased_ler_nm: float


def roughness(edges: LineEdges, pixel_nm: float) -> Roughness:
    """Measure lines whose rows lie `pixel_nm` apart.

    Raises:
        InputError: fewer than 32 rows.
    """
    widths = (edges.right_px - edges.left_px) * pixel_nm
    sides = np.concatenate([edges.left_px, edges.right_px]) * pixel_nm
    width, side = spectrum_of(widths, pixel_nm), spectrum_of(sides, pixel_nm)
    return Roughness(
        cd_nm=float(widths.mean()),
        lwr_nm=3 * math.sqrt(width.variance_nm2),
        ler_nm=3 * math.sqrt(side.variance_nm2),
        unbiased_lwr_nm=3 * math.sqrt(unbiased_variance_nm2(width)),
        unbiased_ler_nm=3 * math.sqrt(unbiased_variance_nm2(side)),
    )


def spectrum_of(profiles_nm: NDArray[np.float64], step_nm: float) -> Spectrum:
    """Average (d / N) |DFT|² over profiles (n, N) without their means, sampled every `step_nm`.

    Raises:
        InputError: fewer than 32 samples a profile.
    """
    rows = profiles_nm.shape[1]
    if rows < LEAST_ROWS:
        raise InputError(f"lines: {rows} rows, roughness needs {LEAST_ROWS} or more")
    away = profiles_nm - profiles_nm.mean(axis=1, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(away, axis=1))).mean(axis=0)
    return Spectrum(np.asarray(np.fft.rfftfreq(rows, step_nm), np.float64), power * step_nm / rows, rows)


def fitted_model(spectrum: Spectrum) -> RoughnessModel:
    """Fit correlated roughness on white noise to a spectrum by Whittle's likelihood, S (ln model + psd / model)."""
    frequency, psd = spectrum.frequency_per_nm[LEAST_BIN:], spectrum.psd_nm3[LEAST_BIN:]
    if not (psd > 0).all():
        return RoughnessModel(math.sqrt(spectrum.variance_nm2), 1 / frequency[-1], HURST_RANGE[1], 0.0)
    floor = float(np.median(psd[-max(len(psd) // 8, 4) :]))
    length, step = 1 / float(frequency[0]), 1 / (2 * float(frequency[-1]))

    def model(logs: NDArray[np.float64]) -> RoughnessModel:
        sigma, correlation, noise = np.exp(logs[[0, 1, 3]])
        return RoughnessModel(float(sigma), float(correlation), float(logs[2]), float(noise))

    def unlikely(logs: NDArray[np.float64]) -> float:
        expected = model(logs).psd_nm3(frequency)
        return float((np.log(expected) + psd / expected).sum())

    sigma = math.sqrt(spectrum.variance_nm2)
    bounds = [
        (math.log(sigma * 1e-3), math.log(sigma * 3)),
        (math.log(step), math.log(length)),
        HURST_RANGE,
        (math.log(floor * 1e-4), math.log(floor * 3)),
    ]
    starts = [
        [math.log(sigma), math.log(share), 0.6, math.log(floor)] for share in np.geomspace(2 * step, length / 8, 3)
    ]
    fits = [minimize(unlikely, start, method="Nelder-Mead", bounds=bounds, options=FIT) for start in starts]
    return model(min(fits, key=lambda fit: float(fit.fun)).x)


def unbiased_variance_nm2(spectrum: Spectrum) -> float:
    """Take the noise floor out of a variance, nm², never below 0."""
    floor = fitted_model(spectrum).floor_nm3
    return max(spectrum.variance_nm2 - floor * 2 * float(spectrum.frequency_per_nm[-1]), 0.0)


def psd_error_db(truth: Spectrum, estimate: Spectrum) -> float:
    """Compute the RMS of 10 log10 of the ratio of two spectra, dB; 0..inf, lower is better.

    From 1 / (20 x), x the correlation length of the truth, to half of Nyquist's frequency: smoothing that eats
    roughness falls below the truth, invented roughness rises above it.
    """
    low = 1 / (20 * fitted_model(truth).correlation_nm)
    frequency = truth.frequency_per_nm
    inside = (frequency >= max(low, frequency[1])) & (frequency <= frequency[-1] / 2)
    ratio = np.maximum(estimate.psd_nm3[inside], 1e-300) / np.maximum(truth.psd_nm3[inside], 1e-300)
    return float(np.sqrt(np.mean(np.square(10 * np.log10(ratio)))))
