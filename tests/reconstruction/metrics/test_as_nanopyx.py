"""Numbers that nanopyx 2.1.5, an independent implementation in C, gave on images that are made here again."""

import numpy as np
import pytest
from scipy import ndimage

from reconstruction.metrics.decorrelation import decorrelation
from reconstruction.metrics.frc import frc, frc_resolution
from reconstruction.metrics.squirrel import squirrel
from tests.reconstruction.metrics.test_resolution import filtered_noise, radius, two_exposures
from tests.reconstruction.scenes import texture


@pytest.mark.parametrize(
    ("seed", "blur_px", "noise", "frc_px", "decorrelation_px"),
    [
        (1, 0.8, 0.3, 2.006, 2.131),
        (2, 1.5, 0.05, 2.779, 3.570),
        (2, 1.5, 0.3, 3.410, 3.897),
        (3, 3.0, 0.05, 5.256, 7.394),
        (3, 3.0, 0.3, 6.193, 7.541),
        (3, 3.0, 1.0, 7.173, 7.686),
    ],
)
def test_resolutions_agree(seed: int, blur_px: float, noise: float, frc_px: float, decorrelation_px: float) -> None:
    signal = filtered_noise(256, np.exp(-2 * (np.pi * blur_px * radius(256)) ** 2), seed)
    first, second = two_exposures(signal / signal.std(), noise)
    assert frc_resolution(frc(first, second)).period_px == pytest.approx(frc_px, rel=0.02)
    assert decorrelation(first).resolution_px == pytest.approx(decorrelation_px, rel=0.06)  # it steps by 1 / 50


@pytest.mark.parametrize(("blur_px", "rse", "rsp"), [(1.5, 0.501, 0.99630), (3.0, 0.513, 0.99530)])
def test_what_an_image_explains_agrees(blur_px: float, rse: float, rsp: float) -> None:
    image = texture("natural", (256, 256), 5).astype(float)
    noise = np.random.default_rng(0).normal(0, 0.5, image.shape)
    found = squirrel(40 * ndimage.gaussian_filter(image, blur_px, mode="nearest") + 10 + noise, 100 * image)
    assert found.rse == pytest.approx(rse, rel=0.03)
    assert found.rse <= rse  # ours is the better fit, if anything
    assert found.rsp == pytest.approx(rsp, abs=5e-4)
