"""Share of the dark phase, against scikit-image and pictures whose share is known."""

import numpy as np
import pytest
from skimage.filters import threshold_local, threshold_otsu

from reconstruction.analysis.phase_fraction import bradley_dark, fraction_error_pp, otsu_dark, otsu_threshold
from reconstruction.errors import InputError
from tests.reconstruction.scenes import texture


def stripes(dark: int, period: int, shading: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:240, :240]
    return np.where(x % period < dark, 0.25, 0.7) * (1 + shading * y / 240)


@pytest.mark.parametrize("shading", [0.0, 1.5])
def test_bradley_finds_the_share_of_dark_stripes_whatever_the_shading(shading: float) -> None:
    assert bradley_dark(stripes(4, 12, shading)).mean() == pytest.approx(1 / 3, abs=0.001)


def test_otsu_finds_it_without_shading_only() -> None:
    assert otsu_dark(stripes(4, 12)).mean() == pytest.approx(1 / 3, abs=0.001)
    assert otsu_dark(stripes(4, 12, 3.0)).mean() != pytest.approx(1 / 3, abs=0.05)


def test_both_agree_with_scikit_image() -> None:
    image = texture("grains", (200, 240), 4).astype(float) + np.random.default_rng(0).normal(0, 0.05, (200, 240))
    local_mean = threshold_local(image, 31, method="mean", mode="reflect")
    assert np.array_equal(bradley_dark(image, 31, 15), image <= 0.85 * local_mean)
    assert otsu_threshold(image) == pytest.approx(threshold_otsu(image), abs=np.ptp(image) / 256)


def test_an_error_counts_in_percentage_points() -> None:
    assert fraction_error_pp(stripes(4, 12) < 0.5, stripes(5, 12) < 0.5) == pytest.approx(100 / 12)
    assert otsu_dark(np.full((9, 9), 3.0)).all()  # of one phase only, all of it is one side


@pytest.mark.parametrize(("window", "percent", "words"), [(0, 15, "0 is outside 1..20"), (5, 130, "130 is outside")])
def test_windows_and_percentages_that_make_no_sense(window: int, percent: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bradley_dark(np.ones((20, 30)), window, percent)
