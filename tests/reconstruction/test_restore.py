"""Classical restoration: better on noise, harmless without, always the same."""

import numpy as np
import pytest

from reconstruction.errors import InputError
from reconstruction.noise import measure
from reconstruction.restore import restorer
from tests.reconstruction.scenes import texture


def psnr_db(image: np.ndarray, clean: np.ndarray) -> float:
    return float(20 * np.log10(np.ptp(clean) / np.sqrt(np.square(image.astype(float) - clean).mean())))


@pytest.mark.parametrize("kind", ["grains", "lamellae", "natural"])
@pytest.mark.parametrize("electrons", [30, 200])
def test_nlm_gains_two_decibels_on_shot_noise(kind: str, electrons: int) -> None:
    clean = texture(kind, (256, 256), 1).astype(float)
    noisy = np.random.default_rng(0).poisson(clean * electrons) / electrons
    frame = np.clip(np.rint(noisy * 30000), 0, 65535).astype(np.uint16)
    better = restorer("nlm").restore(frame)
    assert (better.dtype, better.shape) == (frame.dtype, frame.shape)
    gain_db = psnr_db(better, clean * 30000) - psnr_db(frame, clean * 30000)
    assert gain_db > 2.0


def test_nlm_gives_the_same_bytes_again() -> None:
    frame = np.random.default_rng(0).poisson(50, (128, 128)).astype(np.uint8)
    assert np.array_equal(restorer("nlm").restore(frame), restorer("nlm").restore(frame))


@pytest.mark.parametrize("value", [0, 200, 65535])
def test_nlm_leaves_a_constant_frame_alone(value: int) -> None:
    frame = np.full((64, 64), value, np.uint16)
    assert np.abs(restorer("nlm").restore(frame).astype(int) - value).max() <= 1


def test_noise_is_measured_on_the_frame_itself() -> None:
    clean = texture("natural", (512, 512), 2) * 400
    rng = np.random.default_rng(0)
    frame = rng.poisson(clean) * 20 + rng.normal(0, 40, clean.shape) + 500
    noise = measure(np.rint(frame).astype(np.uint16))
    assert noise.gain == pytest.approx(20, rel=0.25)  # quiet patches only; they are a sample of their own
    mid = noise.gain * (200 * 20 + 500) + noise.offset
    assert mid == pytest.approx(200 * 400 + 1600, rel=0.25)


@pytest.mark.parametrize("bright", [200.0, 250.0])  # a third of whose pixels the detector cannot tell
def test_saturated_pixels_do_not_pass_for_free_of_noise(bright: float) -> None:
    clean = np.where(texture("grains", (512, 512), 2) > 0.6, bright, 90.0)
    frame = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 20, clean.shape)), 0, 255).astype(np.uint8)
    noise = measure(frame)
    assert noise.gain * 90.0 + noise.offset == pytest.approx(400.0, rel=0.3)  # rims of grains add some


def test_none_changes_nothing_and_unknown_names_are_refused() -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert restorer("none").restore(frame) is frame
    assert restorer("none").sha256 is None
    with pytest.raises(InputError, match="'magic' is not one of nlm, none"):
        restorer("magic")


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (20, 24), (33, 33), (10, 300)])
def test_nlm_keeps_the_brightness_of_tiny_frames(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(3).poisson(120, shape).astype(np.uint16)
    assert restorer("nlm").restore(frame).mean() == pytest.approx(frame.mean(), rel=0.02)
