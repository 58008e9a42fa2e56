"""Critical dimension and roughness of lines whose edges were made to order."""

import numpy as np
import pytest
from scipy.signal import detrend, periodogram

from reconstruction.errors import InputError
from reconstruction.metrics.line_edges import line_edges
from reconstruction.metrics.roughness import (
    RoughnessModel,
    fitted_model,
    psd_error_db,
    roughness,
    spectrum_of,
    unbiased_variance_nm2,
)
from tests.reconstruction.metrics.printed_lines import picture, rough_edges
from tests.reconstruction.scenes import texture

PIXEL_NM = 0.8
TRUTH = RoughnessModel(sigma_nm=1.0, correlation_nm=20.0, hurst=0.7, floor_nm3=0.0)
ROWS = 1024


def edges_px(lines: int, cd_nm: float = 30.0, pitch_nm: float = 64.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rough = rough_edges(2 * lines, ROWS, PIXEL_NM, TRUTH, seed) / PIXEL_NM
    start = (np.arange(lines)[:, None] * pitch_nm + 17.0) / PIXEL_NM
    return start + rough[:lines], start + cd_nm / PIXEL_NM + rough[lines:]


def test_straight_lines_have_their_width_and_no_roughness() -> None:
    left, right = np.full((2, 64), 20.25), np.full((2, 64), 57.75)
    left[1] += 80
    right[1] += 80
    tilt = 0.02 * np.arange(64)  # a specimen put in askew
    found = line_edges(picture(left + tilt, right + tilt, 160))
    assert found.left_px.shape == (2, 64)
    measured = roughness(found, 2.0)
    assert measured.cd_nm == pytest.approx(2 * 37.5, abs=0.1)
    assert measured.lwr_nm < 0.05
    assert measured.ler_nm < 0.05
    dark = line_edges(1 - picture(left, right, 160), bright=False)
    assert roughness(dark, 2.0).cd_nm == pytest.approx(2 * 37.5, abs=0.1)


@pytest.mark.parametrize("shows", ["rows", "noise", "texture", "nothing"])
@pytest.mark.parametrize("rows", [64, 512])
def test_images_without_lines_along_y_are_refused(shows: str, rows: int) -> None:
    """A width was told of every one of them."""
    left = np.full((2, 256), 20.25) + np.array([[0], [80]])
    random = np.random.default_rng(0)
    image = {
        "rows": np.resize(picture(left, left + 30, 160).T, (rows, 200)) + random.normal(0, 0.01, (rows, 200)),
        "noise": random.normal(0, 1, (rows, 200)),
        "texture": texture("lamellae", (rows, 200), 1).astype(float),
        "nothing": np.full((rows, 200), 7.0),
    }[shows]
    with pytest.raises(InputError, match="no lines along y"):
        line_edges(image)


def test_edges_lie_where_they_were_drawn() -> None:
    left, right = edges_px(4)
    found = line_edges(picture(left, right, 330))
    away = np.stack([found.left_px - left, found.right_px - right])
    away -= away.mean(axis=0) - detrend(away.mean(axis=0), axis=1)  # the tilt of each line

    assert np.sqrt(np.mean(away**2)) < 0.03  # px; a bent edge seen through its blur


@pytest.mark.parametrize("noise", [0.0, 0.12])
def test_the_noise_of_the_image_does_not_count_as_roughness(noise: float) -> None:
    left, right = edges_px(4)
    image = picture(left, right, 330) + np.random.default_rng(3).normal(0, noise, (ROWS, 330))
    measured = roughness(line_edges(image), PIXEL_NM)
    width = (right - left) * PIXEL_NM
    lwr = 3 * np.sqrt(width.var(axis=1).mean())
    ler = 3 * np.sqrt(np.concatenate([left, right]).var(axis=1).mean()) * PIXEL_NM
    assert measured.cd_nm == pytest.approx(width.mean(), abs=0.1)
    assert measured.unbiased_lwr_nm == pytest.approx(lwr, rel=0.05)
    assert measured.unbiased_ler_nm == pytest.approx(ler, rel=0.05)
    assert measured.unbiased_lwr_nm == pytest.approx(np.sqrt(2) * measured.unbiased_ler_nm, rel=0.1)  # by chance
    if noise > 0.1:
        assert measured.lwr_nm > 1.05 * lwr


def test_the_spectrum_is_a_periodogram_and_holds_the_variance() -> None:
    profiles = rough_edges(3, 500, PIXEL_NM, TRUTH, 5)
    found = spectrum_of(profiles, PIXEL_NM)
    frequency, known = periodogram(profiles, 1 / PIXEL_NM, detrend="constant", scaling="density")
    assert found.frequency_per_nm == pytest.approx(frequency)
    assert 2 * found.psd_nm3[1:-1] == pytest.approx(known.mean(axis=0)[1:-1])  # scipy counts one side
    assert found.variance_nm2 == pytest.approx(profiles.var(axis=1).mean())


def test_the_model_of_a_spectrum_is_found_again() -> None:
    made = TRUTH._replace(floor_nm3=0.5)
    found = fitted_model(spectrum_of(rough_edges(40, 2048, PIXEL_NM, made, 2), PIXEL_NM))
    assert found.sigma_nm == pytest.approx(1.0, rel=0.05)
    assert found.correlation_nm == pytest.approx(20, rel=0.12)
    assert found.hurst == pytest.approx(0.7, abs=0.08)
    assert found.floor_nm3 == pytest.approx(0.5, rel=0.05)
    frequency = np.linspace(-40, 40, 400_001)
    assert np.trapezoid(TRUTH.psd_nm3(frequency), frequency) == pytest.approx(1.0, rel=0.01)


def test_pure_noise_has_no_unbiased_roughness() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (20, 1024))
    assert unbiased_variance_nm2(spectrum_of(noise, 1.0)) < 0.05


def test_a_spectrum_is_off_by_what_smoothing_took() -> None:
    truth = spectrum_of(rough_edges(8, ROWS, PIXEL_NM, TRUTH, 2), PIXEL_NM)
    halved = truth._replace(psd_nm3=truth.psd_nm3 / 2)
    assert psd_error_db(truth, truth) == 0
    assert psd_error_db(truth, halved) == pytest.approx(10 * np.log10(2))


def test_an_image_without_lines_is_refused() -> None:
    with pytest.raises(InputError, match="no whole line"):
        line_edges(np.linspace(0, 1, 50)[None, :] * np.ones((40, 1)))
    with pytest.raises(InputError, match="8 rows"):
        spectrum_of(np.zeros((2, 8)), 1.0)
