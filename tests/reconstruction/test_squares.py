"""Means over squares of the mosaic's grid, against means of the frame drawn anew at its place."""

import numpy as np
import pytest

from reconstruction.canvas import Canvas
from reconstruction.resampling import STEPS
from reconstruction.squares import SQUARE_PX, averaged, covering, inside
from reconstruction.tile_view import Laying


@pytest.mark.parametrize("steps", [(0, 0), (-17, 25), (31, -32), (5 * STEPS + 30, -3 * STEPS), (9, 0)])
def test_means_are_those_of_pixels_that_are_linear_in_between(steps: tuple[int, int]) -> None:
    frame = np.random.default_rng(1).integers(0, 65535, (61, 77)).astype(np.uint16)
    many = np.repeat(np.repeat(frame.astype(np.float32), STEPS, axis=0), STEPS, axis=1)  # pixels as squares
    means = Laying(frame, steps, None).means()
    for (row, column), mean in np.ndenumerate(means):
        squares = inside(Laying(frame, steps, None).box)
        assert squares
        left = ((squares.x_px + column) * SQUARE_PX * STEPS) - steps[0]
        top = ((squares.y_px + row) * SQUARE_PX * STEPS) - steps[1]
        size = SQUARE_PX * STEPS
        rows = np.clip(np.arange(top, top + size), 0, len(many) - 1)
        columns = np.clip(np.arange(left, left + size), 0, many.shape[1] - 1)
        # a move along both axes at once adds and takes corners of at most 1/4 px
        assert mean == pytest.approx(many[np.ix_(rows, columns)].mean(), abs=2 * 65535 / 4 / SQUARE_PX**2 + 2)


def test_squares_of_a_box() -> None:
    assert covering(Canvas(-3, 8, 12, 8)) == Canvas(-1, 1, 3, 1)
    assert inside(Canvas(-3, 8, 12, 8)) == Canvas(0, 1, 1, 1)
    assert inside(Canvas(1, 1, 14, 14)) is None
    assert np.array_equal(averaged(np.full((16, 24), 7, np.uint8)), np.full((2, 3), 7.0))
