"""Decorrelation analysis, profiles and histograms."""

import math

import numpy as np
import pytest
from scipy.stats import wasserstein_distance
from skimage.measure import profile_line

from reconstruction.errors import InputError
from reconstruction.metrics.decorrelation import decorrelation
from reconstruction.metrics.histograms import histogram, histogram_distance
from reconstruction.metrics.profiles import line_profile
from tests.reconstruction.scenes import texture


@pytest.mark.parametrize("cut_per_px", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_the_cut_off_of_band_limited_noise_is_its_resolution(cut_per_px: float, noise: float) -> None:
    """With a sharp cut-off the signal ends at one frequency, and a period of 1 / that is the finest there is."""
    side, rng = 256, np.random.default_rng(1)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    signal = np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, (side, side))) * (radius < cut_per_px), (side, side))
    found = decorrelation(signal / signal.std() + rng.normal(0, noise, (side, side)))
    assert 1 / found.resolution_px == pytest.approx(cut_per_px, rel=0.06)
    assert 0 < found.amplitude <= 1


def test_noise_lowers_the_amplitude_and_alone_has_no_resolution() -> None:
    image, rng = texture("natural", (256, 256), 1).astype(float), np.random.default_rng(0)
    low, high = (decorrelation(image + rng.normal(0, sigma, image.shape)).amplitude for sigma in (0.01, 0.3))
    assert high < low
    assert decorrelation(rng.normal(0, 1, (256, 256))).amplitude < 0.05
    assert decorrelation(np.ones((64, 64))).resolution_px == math.inf


@pytest.mark.parametrize("width", [1, 3, 4])
def test_profiles_agree_with_scikit_image(width: int) -> None:
    image = texture("grains", (60, 80), 1).astype(float)
    start, end = (5.5, 4.0), (50.0, 71.25)
    distance, grey = line_profile(image, start, end, width)
    known = profile_line(image, start, end, linewidth=width, order=1, mode="nearest")
    assert grey == pytest.approx(known, abs=1e-9)
    assert distance[-1] == pytest.approx(math.hypot(44.5, 67.25))


def test_a_profile_of_a_plane_is_a_straight_line() -> None:
    y, x = np.mgrid[:30, :40].astype(float)
    distance, grey = line_profile(2 * y + 3 * x, (2, 3), (14, 8), 3)
    assert grey == pytest.approx(13 + distance * (2 * 12 + 3 * 5) / 13)
    with pytest.raises(InputError, match="length 0"):
        line_profile(y, (1, 1), (1, 1))


def test_histograms_count_shares() -> None:
    ramp = np.arange(256.0).reshape(16, 16)
    assert histogram(ramp, 256, 4) == pytest.approx([0.25] * 4)
    assert histogram(ramp - 300, 256, 4) == pytest.approx([1, 0, 0, 0])


def test_histogram_distance_is_wassersteins() -> None:
    rng = np.random.default_rng(0)
    one, other, small = rng.normal(3, 1, (20, 30)), rng.exponential(2, (20, 30)), rng.exponential(2, (10, 20))
    assert histogram_distance(one, one + 0.7) == pytest.approx(0.7)
    assert histogram_distance(one, other) == pytest.approx(wasserstein_distance(one.ravel(), other.ravel()))
    known = wasserstein_distance(one.ravel(), small.ravel())
    assert histogram_distance(one, small) == pytest.approx(known, abs=0.01)  # the last sample of one repeats itself
