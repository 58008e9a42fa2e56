"""How far one view is displaced against another, found around a prediction, and how alike they are line by line.

The zero-mean NCC is searched over a coarse view around where the stage should be by now, and climbed at the view's own
resolution; a view that has been lost is looked for everywhere by phase correlation. A displacement d (y, x) says that
`first[p + d]` shows what `second[p]` shows.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.refinement import refine
from reconstruction.strip_pair import Shift, StripPair, overlap
from reconstruction.strips import Image
from reconstruction.video_view import COARSE, View

BLOCKS = 16  # of lines; a refresh line or a tear divides a picture between two lines
LEAST_TEMPLATE_PX = 16  # of the coarse view
SAME_PEAK_PX = 3  # of the coarse view
CLIMB_PX = 8
NEAR, ANYWHERE = 4.5, 6.5  # standard deviations of the NCC of unrelated views; where there are few places, and many
LEAST_NCC = 0.08
MOST_NCC = 0.9999
FARTHEST = 0.85  # of a side; less is left of the overlap than can be believed
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
Displacement = tuple[float, float]  # y, x, view px


@dataclass(frozen=True)
class Match:
    """A measured displacement, the NCC of the overlap, that of the best other place, and that of its blocks of lines.

    `blocks` are counted along the first view; NaN where it has no overlap. `by_way`: of a picture in between, with
    which all but the displacement was measured.
    """

    at: Displacement
    ncc: float
    second: float
    blocks: NDArray[np.float64]
    by_way: bool = False

    @property
    def whole(self) -> Shift:
        return round(self.at[0]), round(self.at[1])


def match(first: View, second: View, expected: Displacement, reach_px: float) -> Match | None:
    """Measure the displacement near an expected one; None where nothing convinces.

    Args:
        reach_px: how far the expected may be wrong, view px.
    """
    found = _coarse(first.coarse, second.coarse, expected, max(3, math.ceil(reach_px / COARSE)))
    if found is None:
        return None
    (y, x), other = found
    return _settled(first, second, (y * COARSE, x * COARSE), other, NEAR)


def search(first: View, second: View) -> Match | None:
    """Look for the displacement wherever the two overlap; None where nothing convinces."""
    most = [round(FARTHEST * side) for side in first.coarse.shape]
    pair = StripPair(first.coarse, second.coarse, (-most[0], -most[1]), (most[0], most[1]))
    found = pair.candidates()
    if not found or pair.spread() <= 0:
        return None
    best = found[0]
    other = max((each.ncc for each in found[1:]), default=0.0)
    return _settled(first, second, (best.shift_px[0] * COARSE, best.shift_px[1] * COARSE), other, ANYWHERE)


def refined(first: View, second: View, at: Match) -> Displacement:
    """Give a displacement to a few hundredths of a view pixel, where the views allow it."""
    better = refine(*overlap(first.detail, second.detail, at.whole), 1.0)
    if better is None:
        return at.at
    return at.whole[0] + float(better.shift_px[0]), at.whole[1] + float(better.shift_px[1])


def _coarse(first: Image, second: Image, expected: Displacement, reach: int) -> tuple[Shift, float] | None:
    """Find the best whole-pixel shift of coarse views around an expected one; the best NCC elsewhere stands beside."""
    cuts = [_cut(side, round(at / COARSE), reach) for side, at in zip(first.shape, expected, strict=True)]
    if any(end - start < LEAST_TEMPLATE_PX for start, end, _, _ in cuts):
        return None
    (top, bottom, up, down), (left, right, west, east) = cuts
    template = second[top:bottom, left:right]
    surface = cv2.matchTemplate(first[up:down, west:east], template, cv2.TM_CCOEFF_NORMED)
    if not np.isfinite(surface).all():
        return None
    row, column = (int(at) for at in np.unravel_index(int(np.argmax(surface)), surface.shape))
    r, c = max(0, row - SAME_PEAK_PX), max(0, column - SAME_PEAK_PX)
    surface[r : row + SAME_PEAK_PX + 1, c : column + SAME_PEAK_PX + 1] = -1.0
    return (up + row - top, west + column - left), float(surface.max())


def _cut(side: int, expected: int, reach: int) -> tuple[int, int, int, int]:
    """Along one axis: the template's start and end in the second view, and those of where it is sought in the first."""
    start, end = max(0, reach - expected), side - max(0, expected + reach)
    return start, end, start + expected - reach, end + expected + reach


def _settled(first: View, second: View, start: Shift, other: float, least: float) -> Match | None:
    """Climb to the top, and say what it is worth."""
    lines: dict[Shift, _Lines] = {}

    def at(shift: Shift) -> _Lines:
        if shift not in lines:
            lines[shift] = _lines(first.detail, second.detail, shift)
        return lines[shift]

    best = start
    for _ in range(CLIMB_PX):
        around = max(((best[0] + dy, best[1] + dx) for dy, dx in NEIGHBOURS), key=lambda shift: at(shift).ncc)
        if at(around).ncc <= at(best).ncc:
            break
        best = around
    found = at(best)
    if not _is_significant(found, first, least):
        return None
    y = best[0] + _vertex(*(at((best[0] + step, best[1])).ncc for step in (-1, 0, 1)))
    x = best[1] + _vertex(*(at((best[0], best[1] + step)).ncc for step in (-1, 0, 1)))
    return Match((y, x), found.ncc, other, found.blocks(first.detail.shape[0], best[0]))


@dataclass(frozen=True)
class _Lines:
    """Sums over each line of an overlap: products, and both squares."""

    products: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    columns: int

    @property
    def ncc(self) -> float:
        norm = math.sqrt(float(self.first.sum()) * float(self.second.sum()))
        return float(self.products.sum()) / norm if norm > 0 else 0.0

    def blocks(self, rows: int, y: int) -> NDArray[np.float64]:
        """NCC of each block of lines of the first view, of `rows` lines, for a displacement by `y` down."""
        block = (np.arange(len(self.products)) + max(0, y)) * BLOCKS // rows
        products, first, second = (
            np.bincount(block, each, BLOCKS) for each in (self.products, self.first, self.second)
        )
        full = np.bincount(block, minlength=BLOCKS) > rows / BLOCKS / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(full, products / np.sqrt(first * second), np.nan)


def _lines(first: Image, second: Image, shift: Shift) -> _Lines:
    if any(abs(step) > FARTHEST * side for step, side in zip(shift, first.shape, strict=True)):
        nothing = np.zeros(1, np.float32)
        return _Lines(nothing, nothing, nothing, 0)
    one, other = overlap(first, second, shift)
    products, squares, others = (np.einsum("yx,yx->y", a, b) for a, b in ((one, other), (one, one), (other, other)))
    return _Lines(products, squares, others, one.shape[1])


def _is_significant(found: _Lines, first: View, least: float) -> bool:
    """Tell whether unrelated views would hardly match as well (Bartlett's variance of a correlation)."""
    independent = max(len(found.products) * found.columns / first.correlation_px2, 1.0)
    fisher = math.atanh(min(max(found.ncc, 0.0), MOST_NCC))
    return found.ncc > LEAST_NCC and fisher > least / math.sqrt(independent)


def _vertex(before: float, top: float, after: float) -> float:
    """Where between -0.5 and 0.5 a parabola through three values is highest."""
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, (before - after) / (2 * bend)))
