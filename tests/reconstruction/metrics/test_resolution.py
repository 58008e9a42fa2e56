"""Fourier ring correlation and SQUIRREL on images whose spectra are made to order."""

import numpy as np
import pytest
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.frc import block_frc_map, frc, frc_resolution
from reconstruction.metrics.squirrel import squirrel
from tests.reconstruction.scenes import texture


def filtered_noise(side: int, transfer: np.ndarray, seed: int) -> np.ndarray:
    """Periodic noise whose spectrum has been multiplied by `transfer` (side, side // 2 + 1)."""
    noise = np.random.default_rng(seed).normal(0, 1, (side, side))
    return np.asarray(np.fft.irfft2(np.fft.rfft2(noise) * transfer, (side, side)))


def radius(side: int) -> np.ndarray:
    return np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])


def two_exposures(signal: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    first, second = (signal + rng.normal(0, sigma, signal.shape) for _ in range(2))
    return first, second


def test_an_image_agrees_with_itself_at_all_frequencies() -> None:
    image = texture("natural", (120, 100), 1)
    curve = frc(image, image)
    assert curve.correlation[1:] == pytest.approx(1)
    assert curve.frequency_per_px[[0, -1]] == pytest.approx([0, 0.5])
    found = frc_resolution(curve)
    assert (found.period_px, found.crossed) == (2.0, False)
    assert frc(image, 3 - 2 * image).correlation[1:] == pytest.approx(-1)


def test_frc_is_the_share_of_the_signal_in_the_power() -> None:
    """With spectra S of the signal and N of the noise, the expectation is S / (S + N)."""
    side, blur_px, sigma = 512, 1.0, 0.05
    transfer = np.exp(-2 * (np.pi * blur_px * radius(side)) ** 2)
    curve = frc(*two_exposures(filtered_noise(side, transfer, 1), sigma))
    expected = 1 / (1 + sigma**2 * np.exp(4 * (np.pi * blur_px * curve.frequency_per_px) ** 2))
    assert np.abs(curve.correlation - expected)[8:].max() < 0.12  # four deviations of the innermost rings
    assert np.abs(curve.correlation - expected)[40:].mean() < 0.02
    crossing = np.sqrt(np.log(6 / sigma**2)) / (2 * np.pi * blur_px)  # where S / N = 1 / 6
    found = frc_resolution(curve)
    assert found.crossed
    assert 1 / found.period_px == pytest.approx(crossing, rel=0.03)


def test_a_block_map_shows_where_the_image_is_sharp() -> None:
    sharp, blurred = (filtered_noise(256, np.exp(-2 * (np.pi * s * radius(256)) ** 2), 3) for s in (0.8, 2.4))
    first, second = two_exposures(np.hstack([sharp / sharp.std(), blurred / blurred.std()]), 0.1)
    found = block_frc_map(first, second, 2)
    assert found.shape == (2, 2)
    assert found[:, 1] == pytest.approx(3 * found[:, 0], rel=0.3)
    first[:128, :256] = second[:128, :256] = 0.5  # an empty block takes the value of a neighbour
    filled = block_frc_map(first, second, 2)
    assert filled[0, 0] in (filled[1, 0], filled[0, 1])
    assert np.isnan(block_frc_map(np.zeros((64, 64)), np.zeros((64, 64)), 1)).all()


def test_blocks_too_small_to_tell_are_refused() -> None:
    with pytest.raises(InputError, match=r"10 is outside 1..4: of 300 x 500 px"):
        block_frc_map(np.zeros((300, 500)), np.zeros((300, 500)), 10)


@pytest.mark.parametrize("sigma_px", [0.0, 0.7, 1.5, 4.0])
def test_squirrel_recovers_blur_and_scale(sigma_px: float) -> None:
    image = texture("natural", (256, 256), 5).astype(float)
    blurred = ndimage.gaussian_filter(image, sigma_px, mode="nearest") if sigma_px else image
    noise = np.random.default_rng(0).normal(0, 0.002, image.shape)
    found = squirrel(40 * blurred + 10 + 40 * noise, image)
    assert found.sigma_px == pytest.approx(sigma_px, rel=0.05, abs=0.1)
    assert (found.gain, found.offset) == pytest.approx((40, 10), rel=0.02)
    assert found.rse == pytest.approx(0.08, rel=0.05)  # the noise is all that is left
    assert found.rsp > 0.99


def test_squirrel_points_at_what_was_made_up() -> None:
    image = texture("grains", (128, 128), 5).astype(float)
    invented = image.copy()
    invented[60:68, 60:68] += 0.5
    found = squirrel(image, invented)
    assert found.error[62:66, 62:66].mean() > 20 * np.median(found.error)
    assert found.rsp < squirrel(image, image).rsp == pytest.approx(1)
    assert squirrel(image, np.zeros_like(image)).rsp == 0
