"""One particle that a restored frame invented, or took away, is found; noise alone is not."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.consistency import LEAST_AGREEMENT, agreement
from reconstruction.explained import expected
from reconstruction.local_misfit import FALSE_ALARMS, Misfit, highest_of_noise, local_misfit
from reconstruction.restore import restorer
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.scenes import leaves

X_PX, Y_PX = 70, 40
BITS = {8: (np.uint8, 1), 16: (np.uint16, 257)}
Random = np.random.Generator


def scene(plain: bool, shape: tuple[int, int], random: Random) -> NDArray[np.float64]:
    """Grey values of 8 bits without noise."""
    if plain:
        return np.full(shape, 110.0)
    return np.asarray(60 + 100 * ndimage.gaussian_filter(leaves(max(shape), random), 0.8)[: shape[0], : shape[1]])


def counted(mean: NDArray[Any], quanta: float, bits: int, random: Random) -> NDArray[Any]:
    """Record grey values with so many quanta in each of them."""
    dtype, step = BITS[bits]
    grey = np.clip(random.poisson(np.maximum(mean, 0) * quanta) / quanta, 0, 255)
    return np.rint(grey * step).astype(dtype)


def whole(mean: NDArray[Any], bits: int) -> NDArray[Any]:
    dtype, step = BITS[bits]
    return np.rint(np.clip(mean, 0, 255) * step).astype(dtype)


def disc(shape: tuple[int, int], radius_px: float) -> NDArray[np.float64]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.clip(radius_px + 0.5 - np.hypot(x - X_PX, y - Y_PX), 0, 1)


def told(frame: NDArray[Any], restored: NDArray[Any]) -> Misfit:
    found = local_misfit(frame, restored)
    assert found is not None
    return found


@pytest.mark.parametrize("bits", sorted(BITS))
@pytest.mark.parametrize(("quanta", "plain"), [(0.02, True), (0.1, False), (0.5, True), (2.0, False), (20.0, True)])
def test_the_truth_is_hardly_ever_doubted(quanta: float, plain: bool, bits: int) -> None:
    """At any dose: of 30 frames, one in a hundred would be; more than 3 has a chance below a thousandth."""
    alarms = 0
    for seed in range(30):
        random = np.random.default_rng([seed, round(100 * quanta)])
        truth = scene(plain, (128, 128), random)
        alarms += told(counted(truth, quanta, bits, random), whole(truth, bits)).stands_out
    assert alarms <= 3


@pytest.mark.parametrize("shape", [(64, 64), (160, 96)])
def test_the_limit_is_what_noise_exceeds_as_often_as_is_said(shape: tuple[int, int]) -> None:
    """On the safe side: sizes are not independent, and noise that seems a little stronger is taken for stronger."""
    heights = []
    for seed in range(200):
        frame = np.rint(10000 + 500 * np.random.default_rng(seed).standard_normal(shape)).astype(np.uint16)
        heights.append(told(frame, np.full(shape, 10000, np.uint16)).strength)
    for share in (FALSE_ALARMS, 0.1, 0.5):
        alarms = np.sum(np.array(heights) > highest_of_noise(shape, share))
        chance = 3 * np.sqrt(200 * share)
        assert 200 * share / 5 - chance <= alarms <= 200 * share + chance


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(("quanta", "bits"), [(0.1, 8), (0.5, 8), (0.5, 16)])
def test_one_particle_as_bright_as_the_noise_is_seen(quanta: float, bits: int, plain: bool, erased: bool) -> None:
    """Of a radius of 4 px and one deviation in most frames, of 6 px or of 1.5 deviations in nearly all."""
    seen: dict[tuple[float, float], int] = {}
    for seed in range(10):
        random = np.random.default_rng(seed)
        truth = scene(plain, (128, 160), random)
        sd = np.sqrt(truth[Y_PX, X_PX] / quanta)
        for radius_px, deviations in ((4.0, 1.0), (4.0, 1.5), (6.0, 1.0)):
            other = truth + deviations * sd * disc((128, 160), radius_px)
            shown, restored = (other, truth) if erased else (truth, other)
            found = told(counted(shown, quanta, bits, random), whole(restored, bits))
            hit = found.stands_out and np.hypot(found.x_px - X_PX, found.y_px - Y_PX) < 6
            assert not found.stands_out or found.excess == erased
            seen[radius_px, deviations] = seen.get((radius_px, deviations), 0) + hit
    assert seen[4.0, 1.0] >= 5
    assert min(seen[4.0, 1.5], seen[6.0, 1.0]) >= 9


def test_all_of_a_tile_agrees_though_a_particle_was_invented() -> None:
    """What one number for a tile did not see."""
    random = np.random.default_rng(0)
    truth = scene(False, (256, 256), random)
    frame, invented = counted(truth, 0.5, 8, random), whole(truth + 30 * disc((256, 256), 4.0), 8)
    found = agreement(frame, invented)
    assert found is not None
    assert found > LEAST_AGREEMENT
    assert told(frame, invented).stands_out


def test_many_particles_on_nothing_but_noise_are_seen() -> None:
    """Neither contrast nor blur, which are fitted, explains them away."""
    random = np.random.default_rng(0)
    frame = random.poisson(100, (256, 256)).astype(np.uint8)
    made = np.full((256, 256), 100, np.uint8)
    for x, y in random.integers(0, 256, (60, 2)).tolist():
        cv2.circle(made, (x, y), 6, 130, -1)
    assert told(frame, made).stands_out
    assert not told(frame, np.full((256, 256), 100, np.uint8)).stands_out


@pytest.mark.parametrize("lag", [0.3, 0.55])
def test_noise_that_is_alike_along_lines_is_no_structure(lag: float) -> None:
    fast = Recording(quanta=25, lag=lag, read_noise=5, line_noise=1.5, blur_px=0.0, black=10, white=240)
    alarms = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        frame, truth = record(leaves(160, random), fast, random)
        alarms += told(frame, np.rint(truth).astype(np.uint8)).stands_out
    assert alarms <= 2


def test_the_rounding_of_plain_areas_is_not_taken_for_contrast() -> None:
    """In 8 bits, with little noise, the rounding errors of a few large areas lie on a line: a gain of 0.99 fits."""
    truth = np.repeat(np.array([[60.49], [150.51]]), 128, 0) * np.ones(256)
    frame = np.rint(truth + np.random.default_rng(0).normal(0, 2.0, truth.shape)).astype(np.uint8)
    _, fit = expected(frame, np.rint(truth).astype(np.uint8), 2.0)
    assert (fit.blur_px, fit.gain) == (0.0, 1.0)
    _, fit = expected(frame, np.rint(20 + 0.7 * truth).astype(np.uint8), 2.0)
    assert fit.gain == pytest.approx(1 / 0.7, rel=0.02)


@pytest.mark.parametrize("change", ["blur", "contrast", "larger", "hot pixels", "cut off"])
def test_what_is_no_error_of_content_is_not_doubted(change: str) -> None:
    """An instrument's blur, another gain, more pixels, hot pixels that were taken out, and the ends of grey values."""
    alarms = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        truth = scene(False, (160, 160), random)
        frame, restored = counted(truth, 0.5, 8, random), whole(truth, 8)
        if change == "blur":
            frame = counted(ndimage.gaussian_filter(truth, 2.0), 0.5, 8, random)
        elif change == "contrast":
            restored = whole(20 + 0.7 * truth, 8)
        elif change == "larger":
            restored = np.kron(restored, np.ones((2, 2), np.uint8))
        elif change == "hot pixels":
            frame[random.random(frame.shape) < 0.003] = 255
        else:
            truth = np.clip(3 * (truth - 90), 0, 255)
            frame = np.clip(np.rint(truth + random.normal(0, 20, truth.shape)), 0, 255).astype(np.uint8)
            restored = whole(truth, 8)
        alarms += told(frame, restored).stands_out
    assert alarms <= 1


@pytest.mark.parametrize("quanta", [2, 20])
def test_the_truth_is_hardly_doubted_where_bright_areas_are_cut_off(quanta: int) -> None:
    """A tenth of all pixels at the end of 8 bits: calm patches alone are left there to measure noise."""
    alarms = 0
    for seed in range(60):
        random = np.random.default_rng([seed, quanta])
        field = ndimage.gaussian_filter(random.normal(size=(64, 64)), 6.0)
        truth = np.clip(0.5 + 0.2 * field / field.std(), 0.05, 1.2)
        frame = random.poisson(truth * quanta) * (200 / quanta) + random.normal(20, 2, truth.shape)
        shown, restored = (np.clip(np.rint(grey), 0, 255).astype(np.uint8) for grey in (frame, 200 * truth + 20))
        alarms += told(shown, restored).stands_out
    assert alarms <= 3


def test_a_truthful_denoiser_is_hardly_doubted() -> None:
    """Non-local means is none: it loses weak contrast, and is told of it."""
    found, truthful = [], restorer("sem_denoise", "cpu")
    for seed in range(6):
        random = np.random.default_rng(seed)
        frame = counted(scene(False, (160, 160), random), 0.5, 8, random)
        found.append(told(frame, truthful.restore(frame)).stands_out)
    assert sum(found) == 0


def everywhere(kind: str) -> NDArray[np.float64]:
    """Structure that fills a frame (y, x), +-1."""
    y, x = np.mgrid[:256, :256]
    match kind:
        case "lamellae":
            return np.where((x // 20) % 2 == 0, -1.0, 1.0)
        case "lamellae along lines":
            return np.where((y // 20) % 2 == 0, -1.0, 1.0)
        case "texture":
            return np.asarray(np.sin(2 * np.pi * x / 16) * np.sin(2 * np.pi * y / 16))
        case "half":
            return np.where(x > 128, 1.0, -1.0)
        case "particles":
            return np.where((x % 13 - 6) ** 2 + (y % 13 - 6) ** 2 <= 16, 1.0, -1.0)
        case _:
            return np.where((x // 6 + y // 6) % 2 == 0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("kind", "deviations"),
    [
        ("lamellae", 1.85),
        ("lamellae along lines", 1.85),
        ("texture", 2.0),
        ("half", 0.5),
        ("particles", 1.0),
        ("checker", 1.2),
    ],
)
@pytest.mark.parametrize("erased", [False, True])
def test_structure_all_over_a_plain_frame_is_seen(kind: str, deviations: float, erased: bool) -> None:
    """Not taken for noise, nor explained away by a gain and a blur that nothing in the frame shows."""
    plain = np.full((256, 256), 110.0)
    other = plain + deviations * np.sqrt(110 / 0.5) * everywhere(kind)
    for seed in range(3):
        random = np.random.default_rng(seed)
        shown, restored = (other, plain) if erased else (plain, other)
        assert told(counted(shown, 0.5, 16, random), whole(restored, 16)).stands_out


def test_a_frame_too_small_says_nothing() -> None:
    assert local_misfit(np.zeros((15, 200), np.uint8), np.zeros((15, 200), np.uint8)) is None
    assert local_misfit(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)) is not None
