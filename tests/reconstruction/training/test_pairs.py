"""Fast and slow images lie on each other afterwards, however the scanner bent them."""

import cv2
import numpy as np
import pytest

from reconstruction.errors import InputError
from reconstruction.fei_tiff import read_fei
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.pairs import MOST_RESIDUAL_PX, registered
from reconstruction.training.scenes import leaves
from tests.reconstruction.scenes import DATA

SIDE = 400
FAST = Recording(quanta=30, lag=0.0, read_noise=4, line_noise=0.5, blur_px=0.0, black=10, white=230)


def bent(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A scan that drifts by 3 px and lags at the start of its lines; and by how much, (2, y, x)."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    moved = np.stack([1.5 * (x / SIDE - 1) ** 3 - 1.2 * y / SIDE, 0.7 - 3 * (y / SIDE) ** 2])
    return cv2.remap(image, x + moved[0], y + moved[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), moved


def test_a_bent_image_is_drawn_on_the_other_to_a_quarter_of_a_pixel() -> None:
    random = np.random.default_rng(4)
    scene = cv2.GaussianBlur(leaves(SIDE, random), (0, 0), 1.0)
    low, clean = record(scene, FAST, random)
    slow, _ = bent(clean)
    pair = registered(low, np.rint(slow).astype(np.uint8), "test")
    rim = (SIDE - len(pair.low)) // 2
    truth = clean[rim:-rim, rim:-rim]
    # a shift of s px changes an image by about s times its slope: what is left, in pixels
    slope = np.hypot(*np.gradient(truth))
    error = (pair.high - truth)[8:-8, 8:-8]
    assert np.sqrt(np.mean(error**2) / np.mean(slope[8:-8, 8:-8] ** 2)) < MOST_RESIDUAL_PX
    assert pair.residual_px < 0.1


def test_refuses_what_does_not_pair() -> None:
    one, other = (np.rint(leaves(200, np.random.default_rng(seed)) * 200).astype(np.uint8) for seed in (1, 2))
    with pytest.raises(InputError, match="do not show the same field"):
        registered(one, other, "a.tif")
    with pytest.raises(InputError, match="200 x 200 and 190 x 200 px do not pair"):
        registered(one, other[:, :190], "a.tif")
    with pytest.raises(InputError, match="uint8 and uint16 do not pair"):
        registered(one, one.astype(np.uint16), "a.tif")


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder of real recordings beside the repository")
@pytest.mark.parametrize(("fast", "slow"), [("Line_off", "Line_50x"), ("100ns", "30us")])
def test_real_pairs_lie_on_each_other(fast: str, slow: str) -> None:
    low, high = (read_fei(DATA / "sem_noise_pairs" / f"{name}_021.tif").pixels for name in (fast, slow))
    pair = registered(low, high, fast)
    assert pair.residual_px < 0.1
