"""Charts of lines as pictures: axes with units, grid, legend beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
"""(y, x, 3), in OpenCV's order blue, green, red."""
Colour: TypeAlias = tuple[int, int, int]

WIDTH_PX, HEIGHT_PX = 940, 520
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 84, 240, 48, 64
FINER = 3  # drawn larger, then averaged: OpenCV's letters have no other way to look smooth
FONT, LETTER_PX = cv2.FONT_HERSHEY_SIMPLEX, 22.0  # height of a capital letter at scale 1
TEXT_PX = 11.0
INK, FAINT, PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
COLOURS: tuple[Colour, ...] = (  # told apart by the colour-blind (Okabe and Ito 2008)
    (178, 114, 0),
    (0, 94, 213),
    (115, 158, 0),
    (167, 121, 204),
    (0, 159, 230),
    (233, 180, 86),
    (66, 228, 240),
)
DASH_PX = 9
TICKS = 6


@dataclass(frozen=True, eq=False)
class Series:
    """One line; what is not finite is left out. `colour` None: the next of `COLOURS`."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: Colour | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """`label` with its unit; from `low` to `high`."""

    label: str
    low: float
    high: float

    def ticks(self) -> list[float]:
        """Round values inside, about six of them."""
        step = _round_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [step * number for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def share(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Where values lie between `low` (0) and `high` (1)."""
        return np.asarray((values - self.low) / (self.high - self.low))


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Series], note: str = "") -> Picture:
    """Draw lines on two axes, with a title, a legend at the right, and a note below it."""
    canvas = np.full((HEIGHT_PX * FINER, WIDTH_PX * FINER, 3), 255, np.uint8)
    _draw_axes(canvas, x, y)
    colours = iter(COLOURS * (len(lines) // len(COLOURS) + 1))
    for number, line in enumerate(lines):
        colour = line.colour or next(colours)
        _draw_line(canvas, line, x, y, colour)
        _draw_legend(canvas, number, line, colour)
    write(canvas, title, LEFT_PX, 28, TEXT_PX * 1.25, bold=True)
    for number, part in enumerate(note.split("\n")):
        write(canvas, part, WIDTH_PX - RIGHT_PX + 16, TOP_PX + 20 * (len(lines) + 1) + 18 * number, TEXT_PX * 0.9)
    return smaller(canvas)


def write(
    canvas: Picture, text: str, x: float, y: float, height_px: float = TEXT_PX, align: str = "left", bold: bool = False
) -> None:
    """Write a line of ASCII on a canvas `FINER` times as large, at (x, y) of its base line in final pixels."""
    scale, thick = height_px * FINER / LETTER_PX, max(round(height_px * FINER / (8 if bold else 12)), 1)
    width = cv2.getTextSize(text, FONT, scale, thick)[0][0]
    left = round(x * FINER - {"left": 0.0, "centre": width / 2, "right": width}[align])
    cv2.putText(canvas, text, (left, round(y * FINER)), FONT, scale, INK, thick, cv2.LINE_AA)


def smaller(canvas: Picture) -> Picture:
    """Average a canvas down to its final size."""
    size = canvas.shape[1] // FINER, canvas.shape[0] // FINER
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _draw_axes(canvas: Picture, x: Axis, y: Axis) -> None:
    bottom, right = HEIGHT_PX - BOTTOM_PX, WIDTH_PX - RIGHT_PX
    for value in x.ticks():
        at = _across(x, value)
        _rule(canvas, (at, TOP_PX), (at, bottom), FAINT)
        write(canvas, f"{value:.6g}", at, bottom + 20, align="centre")
    for value in y.ticks():
        at = _up(y, value)
        _rule(canvas, (LEFT_PX, at), (right, at), FAINT)
        write(canvas, f"{value:.6g}", LEFT_PX - 8, at + 4, align="right")
    corner, other = (LEFT_PX * FINER, TOP_PX * FINER), (right * FINER, bottom * FINER)
    cv2.rectangle(canvas, corner, other, INK, FINER, cv2.LINE_AA)
    write(canvas, x.label, (LEFT_PX + right) / 2, HEIGHT_PX - 16, TEXT_PX * 1.1, "centre")
    _write_upwards(canvas, y.label)


def _write_upwards(canvas: Picture, text: str) -> None:
    strip = np.full((30 * FINER, (HEIGHT_PX - TOP_PX - BOTTOM_PX) * FINER, 3), 255, np.uint8)
    write(strip, text, strip.shape[1] / FINER / 2, 20, TEXT_PX * 1.1, "centre")
    turned = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
    canvas[TOP_PX * FINER : TOP_PX * FINER + turned.shape[0], : turned.shape[1]] = turned


def _draw_line(canvas: Picture, line: Series, x: Axis, y: Axis, colour: Colour) -> None:
    inside = np.isfinite(line.y) & (line.x >= x.low) & (line.x <= x.high)
    across = LEFT_PX + x.share(line.x[inside]) * (WIDTH_PX - RIGHT_PX - LEFT_PX)
    up = HEIGHT_PX - BOTTOM_PX - np.clip(y.share(line.y[inside]), 0, 1) * (HEIGHT_PX - BOTTOM_PX - TOP_PX)
    points = np.stack([across, up], -1)
    if line.dashed:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        at = np.arange(0, length[-1], 1.0)
        points = np.stack([np.interp(at, length, points[:, axis]) for axis in (0, 1)], -1)
        parts = [points[start : start + DASH_PX] for start in range(0, len(points), 2 * DASH_PX)]
    else:
        parts = [points]
    whole = [np.rint(part * FINER).astype(np.int32) for part in parts]
    cv2.polylines(canvas, whole, False, colour, 2 * FINER, cv2.LINE_AA)


def _draw_legend(canvas: Picture, number: int, line: Series, colour: Colour) -> None:
    left, at = WIDTH_PX - RIGHT_PX + 16, TOP_PX + 12 + 20 * number
    for start in range(0, 26, 2 * DASH_PX) if line.dashed else (0,):
        _rule(canvas, (left + start, at), (left + start + (8 if line.dashed else 26), at), colour, 2)
    write(canvas, line.label, left + 34, at + 4)


def _rule(
    canvas: Picture, start: tuple[float, float], end: tuple[float, float], colour: Colour, thick_px: int = 1
) -> None:
    one, other = ((round(x * FINER), round(y * FINER)) for x, y in (start, end))
    cv2.line(canvas, one, other, colour, thick_px * FINER, cv2.LINE_AA)


def _across(x: Axis, value: float) -> float:
    return LEFT_PX + float(x.share(np.array(value))) * (WIDTH_PX - RIGHT_PX - LEFT_PX)


def _up(y: Axis, value: float) -> float:
    return HEIGHT_PX - BOTTOM_PX - float(y.share(np.array(value))) * (HEIGHT_PX - BOTTOM_PX - TOP_PX)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= least * (1 - 1e-9))
