"""Where to trust a restored image: how fine it agrees with the truth, and what it does not explain of its input."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.evaluation.charts import FINER, Picture, smaller, write
from reconstruction.evaluation.judging import Evaluation
from reconstruction.evaluation.methods import Method
from reconstruction.metrics.frc import LEAST_BLOCK_PX, NYQUIST_PX, block_frc_map
from reconstruction.metrics.squirrel import squirrel

CELL_PX, GAP_PX, HEAD_PX, FOOT_PX, LEAST_WIDTH_PX = 192, 8, 64, 60, 760
MOST_COLUMNS, MOST_BLOCKS, MOST_LETTERS = 7, 10, 22
AVERAGED_PX = 9  # square over which what is not explained is averaged: noise nearly vanishes, structure stays
BRIGHTEST = 99.0  # percentile at which colours end
BAR_PX = 256
Map = NDArray[np.float64]


def maps(made: Evaluation) -> Picture:
    """Draw both maps of the first case for each method; without a truth, only what is not explained."""
    shown = [method for method in made.methods if method.kind != "input"][:MOST_COLUMNS]
    shape = made.inside(made.data.cases[0].frame).shape
    tall, blocks = shape[0] / shape[1], min(MOST_BLOCKS, min(shape) // LEAST_BLOCK_PX)
    rows = [_Row(f"not explained of the input, mean of {AVERAGED_PX} x {AVERAGED_PX} px (grey values)", 0.0, tall)]
    rows[0].maps.extend(unexplained(made, method) for method in shown)
    if made.data.has_truth and blocks:
        label = f"finest period that agrees with the truth, {blocks} x {blocks} blocks (px)"
        rows.append(_Row(label, NYQUIST_PX, tall))
        rows[1].maps.extend(_agreement(made, method, blocks) for method in shown)
    width = max(GAP_PX + len(shown) * (CELL_PX + GAP_PX), LEAST_WIDTH_PX)
    height = HEAD_PX + len(rows) * (CELL_PX + FOOT_PX)
    canvas = np.full((height * FINER, width * FINER, 3), 255, np.uint8)
    write(canvas, f"{made.data.name}, {made.data.cases[0].name}: where to trust it", GAP_PX, 24, 14, bold=True)
    for at, method in enumerate(shown):
        middle = GAP_PX + at * (CELL_PX + GAP_PX) + CELL_PX / 2
        write(canvas, method.name[:MOST_LETTERS], middle, HEAD_PX - 8, 12, "centre", bold=True)
    for number, row in enumerate(rows):
        row.draw(canvas, HEAD_PX + number * (CELL_PX + FOOT_PX))
    return smaller(canvas)


def unexplained(made: Evaluation, method: Method) -> Map:
    """What the restored image of the first case, blurred to fit, leaves of its input: (y, x), absolute local means."""
    frame = made.inside(made.data.cases[0].frame).astype(np.float64)
    image = made.inside(made.restored[method.name][0]).astype(np.float64)
    found = squirrel(frame, image)
    blurred = ndimage.gaussian_filter(image, found.sigma_px, mode="nearest") if found.sigma_px else image
    left = frame - found.gain * blurred - found.offset
    return np.asarray(np.abs(ndimage.uniform_filter(left, AVERAGED_PX)))


def _agreement(made: Evaluation, method: Method, blocks: int) -> Map:
    truth = made.data.cases[0].truth
    assert truth is not None
    return block_frc_map(made.inside(truth), made.inside(made.restored[method.name][0]), blocks)


class _Row:
    """Maps of one kind, in colours from `low` on; `tall`: height over width of what they show."""

    def __init__(self, label: str, low: float, tall: float) -> None:
        self.label, self.low, self.tall = label, low, tall
        self.maps: list[Map] = []

    def draw(self, canvas: Picture, top: int) -> None:
        """Draw the maps side by side, and what their colours mean."""
        every = np.concatenate([each.ravel() for each in self.maps])
        high = max(float(np.nanpercentile(every, BRIGHTEST)), self.low + 1)
        size = round(CELL_PX * min(1 / self.tall, 1)) * FINER, round(CELL_PX * min(self.tall, 1)) * FINER
        for at, each in enumerate(self.maps):
            drawn = cv2.resize(_coloured((each - self.low) / (high - self.low)), size, interpolation=cv2.INTER_NEAREST)
            _put(canvas, drawn, GAP_PX + at * (CELL_PX + GAP_PX), top)
        bar = _coloured(np.repeat(np.linspace(0, 1, BAR_PX)[None], 12, axis=0))
        foot = top + CELL_PX + 8
        _put(canvas, cv2.resize(bar, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_NEAREST), GAP_PX, foot)
        write(canvas, f"{self.low:g}", GAP_PX, foot + 26, 9)
        write(canvas, f"{high:.3g} and more", GAP_PX + BAR_PX, foot + 26, 9, "right")
        write(canvas, self.label, GAP_PX + BAR_PX + 12, foot + 10, 9.5)


def _coloured(shares: Map) -> NDArray[Any]:
    levels = np.clip(np.nan_to_num(shares) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS))


def _put(canvas: Picture, image: NDArray[Any], left: int, top: int) -> None:
    canvas[top * FINER : top * FINER + image.shape[0], left * FINER : left * FINER + image.shape[1]] = image
