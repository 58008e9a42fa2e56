"""The field common to all tiles: what its numbers mean."""

import numpy as np
import pytest

from reconstruction.distortion import TERMS, Distortion


def only(term: tuple[int, int], axis: int) -> Distortion:
    one = tuple(float(term == other) for other in TERMS)
    none = (0.0,) * len(TERMS)
    return Distortion(*((one, none) if axis == 0 else (none, one)))


def test_a_field_gives_x_then_y_for_every_pixel() -> None:
    field = only((1, 0), axis=0).displacement_px((30, 41))
    assert field.shape == (2, 30, 41)
    assert field.dtype == np.float32
    assert np.allclose(field[0], np.linspace(-1, 1, 41)[None, :])
    assert not field[1].any()
    assert np.allclose(only((0, 1), axis=1).displacement_px((30, 41))[1], np.linspace(-1, 1, 30)[:, None])


@pytest.mark.parametrize("term", [term for term in TERMS if sum(term) > 1])
def test_a_bend_neither_shifts_nor_scales_nor_turns_the_tile(term: tuple[int, int]) -> None:
    field = only(term, axis=1).displacement_px((400, 500))[1]
    y, x = np.meshgrid(np.linspace(-1, 1, 400), np.linspace(-1, 1, 500), indexing="ij")
    for plane in (np.ones_like(x), x, y):
        assert abs((field * plane).mean()) < 0.01  # of a field of 1 px: 400 pixels sum up what is an integral
