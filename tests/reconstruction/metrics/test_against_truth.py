"""PSNR, SSIM, edges and spectra: inputs whose answer is known, and scikit-image as an independent witness."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage import metrics as witness
from skimage.registration import phase_cross_correlation
from skimage.transform import downscale_local_mean

from reconstruction.errors import InputError
from reconstruction.metrics.edges import edge_gain, edge_preservation_index
from reconstruction.metrics.fits import gain_fitted, moved_by, shift_between_px
from reconstruction.metrics.ms_ssim import ms_ssim
from reconstruction.metrics.psnr import gain_fitted_psnr_db, psnr_db, shift_fitted_psnr_db
from reconstruction.metrics.spectra import radial_power, radial_spectrum_error_db
from reconstruction.metrics.ssim import ssim, ssim_map
from tests.reconstruction.scenes import texture


def pair(sigma: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    truth = texture("grains", (128, 160), 1).astype(float)
    return truth, truth + np.random.default_rng(0).normal(0, sigma, truth.shape)


def test_psnr_of_a_constant_error_is_known() -> None:
    truth = texture("natural", (32, 40), 1).astype(float)
    assert psnr_db(truth, truth + 0.01, 1.0) == pytest.approx(40.0)
    assert psnr_db(255 * truth, 255 * truth - 2.55, 255.0) == pytest.approx(40.0)
    assert psnr_db(truth, truth, 1.0) == math.inf


@pytest.mark.parametrize("data_range", [1.0, 3.0])
def test_psnr_and_ssim_agree_with_scikit_image(data_range: float) -> None:
    truth, noisy = pair()
    assert psnr_db(truth, noisy, data_range) == pytest.approx(
        witness.peak_signal_noise_ratio(truth, noisy, data_range=data_range), abs=1e-9
    )
    known, known_map = witness.structural_similarity(
        truth, noisy, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert ssim(truth, noisy, data_range) == pytest.approx(known, abs=1e-9)
    assert np.abs(ssim_map(truth, noisy, data_range) - known_map)[8:-8, 8:-8].max() < 1e-9


def test_ssim_of_two_constants_is_its_luminance_term() -> None:
    first, second = np.full((20, 20), 0.5), np.full((20, 20), 0.25)
    assert ssim(first, second, 1.0) == pytest.approx((2 * 0.125 + 1e-4) / (0.25 + 0.0625 + 1e-4))
    assert ssim(first, first, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.4])
def test_ms_ssim_is_made_of_what_scikit_image_says_of_each_scale(sigma: float) -> None:
    """With a K1 beyond all bounds its SSIM has no luminance: contrast and structure are left."""
    truth = texture("grains", (200, 240), 1).astype(float)
    noisy = truth + np.random.default_rng(0).normal(0, sigma, truth.shape)
    expected, y, x = 1.0, truth, noisy
    for number, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance = {} if number == 4 else {"K1": 1e8}
        options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected *= witness.structural_similarity(y, x, **options, **luminance) ** weight
        y, x = (downscale_local_mean(image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2], 2) for image in (y, x))
    assert ms_ssim(truth, noisy, 1.0) == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_is_one_for_equal_images_and_needs_room_for_five_scales() -> None:
    truth = texture("grains", (176, 190), 1).astype(float)
    assert ms_ssim(truth, truth, 1.0) == pytest.approx(1.0)
    assert ms_ssim(truth, 1 - truth, 1.0) == 0.0  # structure reversed
    flat = np.full((176, 176), 0.5)
    assert ms_ssim(flat, flat / 2, 1.0) == pytest.approx(((0.25 + 1e-4) / (0.3125 + 1e-4)) ** 0.1333)
    with pytest.raises(InputError, match="175 x 200 px, MS-SSIM needs 176 px"):
        ms_ssim(np.zeros((175, 200)), np.zeros((175, 200)), 1.0)


def test_gain_and_offset_are_no_error_once_fitted() -> None:
    truth, noisy = pair()
    changed = 0.4 * noisy + 7
    assert gain_fitted_psnr_db(truth, 3 * truth - 1, 1.0) > 200
    assert gain_fitted_psnr_db(truth, changed, 1.0) == pytest.approx(gain_fitted_psnr_db(truth, noisy, 1.0))
    assert gain_fitted_psnr_db(truth, noisy, 1.0) > psnr_db(truth, noisy, 1.0)
    residual = truth - gain_fitted(truth, noisy)
    assert abs(residual.mean()) < 1e-12  # as normal equations demand
    assert abs((residual * noisy).mean()) < 1e-12
    assert gain_fitted_psnr_db(truth, np.zeros_like(truth), 1.0) == pytest.approx(-10 * np.log10(truth.var()))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, -2.0), (0.3, 0.7), (-5.4, 3.25)])
def test_a_shift_is_measured_in_noise_and_taken_out(shift: tuple[float, float]) -> None:
    y, x = np.mgrid[:160, :192].astype(float)
    rng = np.random.default_rng(2)
    waves = [(rng.uniform(0.01, 0.1), rng.uniform(-0.1, 0.1), rng.uniform(0, 6)) for _ in range(12)]

    def scene(dy: float, dx: float) -> np.ndarray:  # sines can be moved exactly
        return sum(np.sin(2 * np.pi * (a * (y - dy) + b * (x - dx)) + c) for a, b, c in waves)

    truth, moved = scene(0, 0), scene(*shift)
    noisy = 0.5 * moved + 1 + rng.normal(0, 0.3, moved.shape)
    assert shift_between_px(truth, moved) == pytest.approx(shift, abs=0.005)  # of cubic splines
    assert shift_between_px(truth, noisy) == pytest.approx(shift, abs=0.05)  # four standard deviations of the noise
    known = phase_cross_correlation(noisy, truth, upsample_factor=50, normalization=None)[0]
    assert shift_between_px(truth, noisy) == pytest.approx(tuple(known), abs=0.15)  # it takes images for periodic
    assert shift_fitted_psnr_db(truth, moved, 10.0) > 60
    assert moved_by(truth, (2.0, 0.0))[12:, :] == pytest.approx(truth[10:-2, :], abs=1e-9)


def test_edges_are_kept_by_what_is_linear_in_them() -> None:
    truth, noisy = pair()
    assert edge_preservation_index(truth, truth) == pytest.approx(1)
    assert edge_preservation_index(truth, 5 - 2 * truth) == pytest.approx(-1)
    assert edge_preservation_index(truth, np.zeros_like(truth)) == 0
    assert edge_gain(truth, 5 - 2 * truth) == pytest.approx(2)
    assert edge_gain(truth, ndimage.gaussian_filter(truth, 2)) < 0.9
    assert edge_gain(truth, noisy) > 1.5


def test_the_edge_index_of_noise_is_that_of_the_signal_share() -> None:
    """White noise has a Laplacian of variance 20 s²: r = sqrt(V / (V + 20 s²))."""
    truth, sigma = texture("grains", (512, 512), 3).astype(float), 0.05
    noisy = truth + np.random.default_rng(1).normal(0, sigma, truth.shape)
    variance = ndimage.laplace(truth)[1:-1, 1:-1].var()
    expected = np.sqrt(variance / (variance + 20 * sigma**2))
    assert edge_preservation_index(truth, noisy) == pytest.approx(expected, abs=0.01)


def test_power_of_white_noise_is_its_variance_at_all_frequencies() -> None:
    noise = np.random.default_rng(0).normal(3, 2, (256, 200))
    _, power = radial_power(noise)
    window = (1 - 5 / 8 * 0.25) ** 2  # mean square of Tukey's window, along both axes
    assert power[4:].mean() == pytest.approx(4 * window, rel=0.03)


def test_spectrum_error_of_a_contrast_and_of_a_blur_is_known() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (256, 256))
    assert radial_spectrum_error_db(noise, noise) == 0
    assert radial_spectrum_error_db(noise, 0.5 * noise) == pytest.approx(20 * np.log10(2))
    blurred = ndimage.gaussian_filter(noise, 0.8, mode="wrap")
    frequency = np.arange(1, 129) / 256
    expected = 10 / np.log(10) * (2 * np.pi * 0.8 * frequency) ** 2  # of |exp(-2 pi² s² f²)|²
    assert radial_spectrum_error_db(noise, blurred) == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.05)


def test_images_that_do_not_go_together_are_refused() -> None:
    one = np.zeros((20, 20))
    with pytest.raises(InputError, match=r"\(20, 20\) and \(20, 21\)"):
        psnr_db(one, np.zeros((20, 21)), 1.0)
    with pytest.raises(InputError, match="not finite"):
        ssim(one, np.full((20, 20), np.nan), 1.0)
    with pytest.raises(InputError, match="data_range: 0"):
        psnr_db(one, one, 0.0)
    with pytest.raises(InputError, match=r"\(y, x\)"):
        edge_gain(np.zeros(5), np.zeros(5))
