"""Frames moved by fractions of a pixel and freed of a distortion, against images that are known everywhere."""

import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.distortion import Distortion
from reconstruction.resampling import STEPS, Bend, in_steps, moved, whole_and_rest

WHOLE = slice(0, 96), slice(0, 80)
INNER = slice(8, -8), slice(8, -8)


def waves(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A picture of waves no shorter than 4 px, as a camera sees them."""
    return 100 + 30 * np.sin(2 * np.pi * (0.21 * x + 0.12 * y)) + 30 * np.cos(2 * np.pi * (0.05 * x - 0.19 * y))


def grid(shape: tuple[int, int] = (96, 80)) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return x, y


@pytest.mark.parametrize("place_px", [(0.5, -0.25), (-0.5, 0.125), (0.02, 0.375)])
def test_a_moved_frame_shows_what_lies_there(place_px: tuple[float, float]) -> None:
    x, y = grid()
    steps = tuple(in_steps(at) for at in place_px)
    (left, x_rest), (top, y_rest) = (whole_and_rest(step) for step in steps)
    image = moved(waves(x, y).astype(np.float32), WHOLE, (x_rest, y_rest))
    expected = waves(x + left - steps[0] / STEPS, y + top - steps[1] / STEPS)
    assert np.abs(image - expected)[INNER].max() < 0.01 * 60  # one part in a hundred of what the waves do


def test_places_near_whole_pixels_keep_their_pixels() -> None:
    assert [in_steps(7 + off) for off in (0.02, -0.02, 0.0)] == [7 * STEPS] * 3
    assert in_steps(7.03) == 7 * STEPS + 2
    assert [whole_and_rest(in_steps(at)) for at in (-0.5, 0.5, 1.25)] == [(0, -32), (1, -32), (1, 16)]
    frame = np.random.default_rng(1).integers(0, 65535, (96, 80)).astype(np.uint16)
    assert np.array_equal(moved(frame, WHOLE, (0, 0)), frame)


def test_a_part_is_the_same_as_the_part_of_the_whole() -> None:
    frame = np.random.default_rng(1).integers(0, 65535, (96, 80)).astype(np.uint16)
    part = slice(10, 50), slice(0, 33)
    assert np.allclose(moved(frame, part, (20, -9)), moved(frame, WHOLE, (20, -9))[part], rtol=1e-5)


def test_resampling_passes_on_the_noise_that_it_says() -> None:
    noise = np.random.default_rng(1).standard_normal((400, 400)).astype(np.float32)
    image = moved(noise, (slice(0, 400), slice(0, 400)), (32, 32))
    assert image[INNER].std() == pytest.approx(0.83, abs=0.01)


def test_a_distortion_is_taken_out() -> None:
    bent = Distortion((0.4, -0.3, 1.2, 0.5, -0.8, 0.3, 0, 0, 0.2), (0.1, 0.2, -0.7, 0.6, 1.0, 0, 0.3, 0.1, 0))
    x, y = grid()
    dx, dy = bent.displacement_px((96, 80)).astype(np.float64)
    frame = waves(x + dx, y + dy)
    bend = Bend(bent, (96, 80))
    image = bend.straightened(frame.astype(np.float32), WHOLE, (16, 0))
    inner = slice(bend.margin_px + 2, -bend.margin_px - 2)
    left = np.abs(image - waves(x - 0.25, y))[inner, inner]
    assert np.sqrt(np.square(left).mean()) < 0.02 * 60  # bicubic, at a quarter of the sampling rate
    assert np.abs(frame - waves(x, y))[inner, inner].max() > 40
