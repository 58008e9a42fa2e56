"""Classical denoisers: against scikit-image, and better than nothing with a parameter chosen on other images."""

import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle, richardson_lucy

from reconstruction.baselines import FAMILIES, Median, RichardsonLucy, best_of, total_variation
from reconstruction.metrics.psnr import psnr_db
from tests.reconstruction.scenes import texture


def noisy(seed: int, kind: str = "grains", electrons: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """A frame of 16 bit and its truth."""
    clean = texture(kind, (160, 192), seed).astype(float)
    counts = np.random.default_rng(seed).poisson(clean * electrons) / electrons
    return np.clip(np.rint(counts * 20000), 0, 65535).astype(np.uint16), clean * 20000


def score(truth: np.ndarray, image: np.ndarray) -> float:
    return psnr_db(truth, image, 65535)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_one_chosen_on_other_images_gains_two_decibels(family: str) -> None:
    chosen = best_of(FAMILIES[family], [noisy(1), noisy(2)], score)
    frame, truth = noisy(3)
    restored = chosen.restore(frame)
    assert (restored.dtype, restored.shape) == (frame.dtype, frame.shape)
    assert score(truth, restored) > score(truth, frame) + 2
    assert chosen in FAMILIES[family]
    assert set(chosen.parameters()) <= {"sigma_px", "side_px", "strength", "iterations"}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_told_apart_and_sees_no_further_than_it_says(family: str) -> None:
    hashes = {one.sha256 for one in FAMILIES[family]}
    assert len(hashes) == len(FAMILIES[family])
    one = FAMILIES[family][0]
    assert (one.name, one.scale) == (family, 1)
    if family in ("tv", "nlm_tuned"):
        return  # they measure the noise of the whole frame
    frame, _ = noisy(4)
    changed = frame.copy()
    changed[:, 150:] = 0
    away = one.restore(frame).astype(int) - one.restore(changed)
    mean_px = 150 - one.halo_px - 1
    slack = 200 if family == "richardson_lucy" else 0  # it begins with the mean of the frame
    assert np.abs(away[:, :mean_px]).max() <= slack


def test_total_variation_agrees_with_scikit_image() -> None:
    image = (texture("grains", (64, 80), 1) + np.random.default_rng(0).normal(0, 0.1, (64, 80))).astype(np.float32)
    known = denoise_tv_chambolle(image, weight=0.1, eps=1e-12, max_num_iter=400)
    assert np.abs(total_variation(image, 0.1) - known).max() < 0.02  # what more iterations would change


def test_richardson_lucy_agrees_with_scikit_image() -> None:
    frame, _ = noisy(5)
    at = np.arange(-6, 7)
    kernel = np.exp(-(at**2) / (2 * 1.2**2))
    spread = np.outer(kernel, kernel) / kernel.sum() ** 2
    known = richardson_lucy(frame / 65535, spread, num_iter=4, clip=False) * 65535
    found = RichardsonLucy(1.2, 4).restore(frame)
    inside = slice(30, -30), slice(30, -30)  # the borders are treated otherwise
    assert np.abs(found[inside] - known[inside]).max() < 30


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_constant_frame_stays_as_it_is(dtype: type) -> None:
    frame = np.full((40, 50), 77, dtype)
    for family in FAMILIES.values():
        assert np.abs(family[0].restore(frame).astype(int) - 77).max() <= 1
    assert np.array_equal(Median(3).restore(frame), frame)
