"""Charts and crops show what they should, where they should."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.evaluation.charts import (
    BOTTOM_PX,
    HEIGHT_PX,
    LEFT_PX,
    RIGHT_PX,
    TOP_PX,
    WIDTH_PX,
    Axis,
    Series,
    chart,
)
from reconstruction.evaluation.judging import Evaluation, evaluate
from reconstruction.evaluation.maps import maps, unexplained
from reconstruction.evaluation.methods import methods_for
from reconstruction.evaluation.pictures import CELL_PX, CROP_PX, GAP_PX, HEAD_PX, LABEL_PX, ZOOM, crops
from tests.reconstruction.evaluation.test_judging import data_set

RED = (0, 0, 255)


def test_a_line_lies_where_its_axes_say() -> None:
    x = np.array([0.0, 10.0])
    drawn = chart("title", Axis("x (px)", 0, 10), Axis("y (dB)", -5, 5), [Series("flat", x, np.array([2.5, 2.5]), RED)])
    assert drawn.shape == (HEIGHT_PX, WIDTH_PX, 3)
    middle = drawn[:, (LEFT_PX + WIDTH_PX - RIGHT_PX) // 2].astype(int)
    red = np.flatnonzero((middle[:, 2] > 200) & (middle[:, 0] < 60))
    expected = HEIGHT_PX - BOTTOM_PX - 0.75 * (HEIGHT_PX - BOTTOM_PX - TOP_PX)
    assert red.mean() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5]), (-13, 41, [-10, 0, 10, 20, 30, 40]), (3, 4, [3, 3.2, 3.4, 3.6, 3.8, 4])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("", low, high).ticks() == pytest.approx(ticks)


class Inventor:
    """Draws a square that is not there."""

    name = "inventor"
    sha256 = "0" * 64
    halo_px = 0
    scale = 1

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        made = cv2.GaussianBlur(frame, (0, 0), 1.2)
        made[60:80, 60:80] = 255
        return np.asarray(made)


def test_what_was_invented_is_not_explained_by_the_input() -> None:
    data = data_set((1,), side=160)
    made = evaluate(data, methods_for(data, [Inventor()], baselines=False))
    found = unexplained(made, made.methods[1])
    inside = slice(60 - made.border_px, 80 - made.border_px)
    assert found[inside, inside].mean() > 5 * np.median(found)
    assert maps(made).std() > 20


@pytest.fixture(scope="module")
def made() -> Evaluation:
    data = data_set((1, 2), side=160)
    return evaluate(data, methods_for(data, [], baselines=False))


def test_crops_show_input_error_and_truth(made: Evaluation) -> None:
    picture = crops(made)
    truth = made.data.cases[1].truth
    assert truth is not None
    inside = made.inside(truth)
    rows, columns = ((size - CROP_PX) // 2 for size in inside.shape)
    wanted = inside[rows : rows + CROP_PX, columns : columns + CROP_PX]
    top = HEAD_PX + (LABEL_PX + 2 * CELL_PX + 2 * GAP_PX) + LABEL_PX
    left = GAP_PX + CELL_PX + GAP_PX
    seen = picture[top : top + CELL_PX, left : left + CELL_PX, 0][::ZOOM, ::ZOOM]
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.99
    error = picture[top + CELL_PX + GAP_PX // 2 :, GAP_PX : GAP_PX + CELL_PX][:CELL_PX:ZOOM, ::ZOOM]
    away = np.abs(made.inside(made.data.cases[1].frame)[rows : rows + CROP_PX, columns : columns + CROP_PX] - wanted)
    bright = cv2.cvtColor(error, cv2.COLOR_BGR2GRAY)
    assert np.corrcoef(bright.ravel(), away.ravel())[0, 1] > 0.9
