"""A generated chip: blocks of lines, vias, pads and logic under random routes, dust and grain."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Box, Canvas, Image
from hardware_sim.texture import smooth_noise

SMALLEST_FEATURE_UM = 0.073
"""Of the chip in the superlens paper."""
GRATING_WIDTHS = (-0.25, math.log(10.0))
"""Logarithms of the widths in smallest features; every tenth grating is as fine as the process allows."""
DIELECTRIC = 0.22
METAL = (0.55, 0.85)
VIA = 0.08
METAL_HEIGHT_UM = 0.3

Random = np.random.Generator


def draw_chip(shape_px: tuple[int, int], pixel_um: float, random: Random) -> tuple[Image, Image]:
    """Draw reflectance (0..1) and height (um) of a chip, both (rows, columns)."""
    canvas = Canvas(shape_px, pixel_um, DIELECTRIC)
    die = Box(0.0, shape_px[1] * pixel_um, 0.0, shape_px[0] * pixel_um)
    for block in _blocks(die, random):
        painter = BLOCK_KINDS[int(random.choice(len(BLOCK_KINDS), p=BLOCK_SHARES))]
        painter(canvas, block.shrunk(0.15), random)
    _routes(canvas, die, random)
    height: Image = np.float32(METAL_HEIGHT_UM) * np.clip((canvas.grey - 0.35) / 0.2, 0.0, 1.0)
    _dust(canvas, die, random)
    canvas.grey += 0.025 * smooth_noise(shape_px, max(0.06 / pixel_um, 1.0), random)
    canvas.grey += 0.03 * smooth_noise(shape_px, max(0.7 / pixel_um, 1.0), random)
    return np.clip(canvas.grey, 0.0, 1.0, out=canvas.grey), height


def _blocks(box: Box, random: Random) -> list[Box]:
    """Cut a die into blocks of 3 to 9 um."""
    longest_um = max(box.width_um, box.height_um)
    if longest_um < random.uniform(5.0, 9.0):
        return [box]
    cut = random.uniform(0.35, 0.65)
    if box.width_um >= box.height_um:
        at_um = box.left_um + cut * box.width_um
        halves = (
            Box(box.left_um, at_um, box.top_um, box.bottom_um),
            Box(at_um, box.right_um, box.top_um, box.bottom_um),
        )
    else:
        at_um = box.top_um + cut * box.height_um
        halves = (
            Box(box.left_um, box.right_um, box.top_um, at_um),
            Box(box.left_um, box.right_um, at_um, box.bottom_um),
        )
    return [block for half in halves for block in _blocks(half, random)]


def _metal(random: Random) -> float:
    return float(random.uniform(*METAL))


def _intervals(low_um: float, high_um: float, pitch_um: float, width_um: float) -> tuple[NDArray[np.float64], ...]:
    starts_um = np.arange(low_um, high_um - width_um, pitch_um)
    return starts_um, starts_um + width_um


def _lines(canvas: Canvas, box: Box, random: Random) -> None:
    """A grating with cuts and bridges in it."""
    metal = _metal(random)
    width_um = SMALLEST_FEATURE_UM * max(math.exp(random.uniform(*GRATING_WIDTHS)), 1.0)
    pitch_um = width_um * random.uniform(1.8, 2.6)
    upright = random.random() < 0.5
    low_um, high_um = (box.left_um, box.right_um) if upright else (box.top_um, box.bottom_um)
    starts_um, ends_um = _intervals(low_um, high_um, pitch_um, width_um)
    if starts_um.size == 0:
        return
    (canvas.bars if upright else canvas.rungs)(box, starts_um, ends_um, metal)
    for _ in range(int(box.width_um * box.height_um * 0.8)):
        x_um, y_um = random.uniform(box.left_um, box.right_um), random.uniform(box.top_um, box.bottom_um)
        along_um = width_um * random.uniform(1.0, 5.0)
        half_x_um, half_y_um = (pitch_um / 2, along_um / 2) if upright else (along_um / 2, pitch_um / 2)
        flaw = Box(x_um - half_x_um, x_um + half_x_um, y_um - half_y_um, y_um + half_y_um)
        canvas.rectangle(flaw, DIELECTRIC if random.random() < 0.7 else metal)


def _vias(canvas: Canvas, box: Box, random: Random) -> None:
    """A plate with an array of holes, some of which were forgotten."""
    canvas.rectangle(box, _metal(random))
    side_um = random.uniform(2.0, 5.0) * SMALLEST_FEATURE_UM
    pitch_um = side_um * random.uniform(1.8, 3.0)
    for y_um in np.arange(box.top_um + pitch_um / 2, box.bottom_um - side_um, pitch_um):
        starts_um, ends_um = _intervals(box.left_um + pitch_um / 2, box.right_um, pitch_um, side_um)
        present = random.random(starts_um.size) < 0.85
        if present.any():
            row = Box(box.left_um, box.right_um, float(y_um), float(y_um) + side_um)
            canvas.bars(row, starts_um[present], ends_um[present], VIA)


def _pad(canvas: Canvas, box: Box, random: Random) -> None:
    """A bond pad: frame, plate and the marks of test needles."""
    metal = _metal(random)
    canvas.rectangle(box, metal)
    canvas.rectangle(box.shrunk(0.3), DIELECTRIC)
    inner = box.shrunk(0.55)
    if min(inner.width_um, inner.height_um) < 0.5:
        return
    canvas.rectangle(inner, metal + 0.1)
    for _ in range(int(random.integers(8, 16))):
        left_um, top_um = random.uniform(inner.left_um, inner.right_um), random.uniform(inner.top_um, inner.bottom_um)
        width_um, height_um = random.uniform(0.08, 0.9), random.uniform(0.08, 0.3)
        mark = Box(left_um, left_um + width_um, top_um, top_um + height_um)
        canvas.rectangle(mark, float(random.uniform(0.35, 0.95)))


def _logic(canvas: Canvas, box: Box, random: Random) -> None:
    """Wires of random length on regular tracks, as placed and routed cells have them."""
    width_um = random.uniform(1.0, 3.0) * SMALLEST_FEATURE_UM
    metal = _metal(random)
    upright = random.random() < 0.5
    low_um, high_um = (box.top_um, box.bottom_um) if upright else (box.left_um, box.right_um)
    tracks_um, _ = _intervals(
        *((box.left_um, box.right_um) if upright else (box.top_um, box.bottom_um)), 2 * width_um, width_um
    )
    for track_um in tracks_um:
        ends = np.cumsum(random.uniform(0.2, 1.6, 2 * int((high_um - low_um) / 0.5) + 4)) + low_um - 0.8
        ends = np.clip(ends, low_um, high_um)
        starts_um, ends_um = ends[0::2], ends[1::2]
        present = ends_um > starts_um
        across = float(track_um), float(track_um) + width_um
        if upright:
            canvas.rungs(Box(*across, low_um, high_um), starts_um[present], ends_um[present], metal)
        else:
            canvas.bars(Box(low_um, high_um, *across), starts_um[present], ends_um[present], metal)


def _routes(canvas: Canvas, die: Box, random: Random) -> None:
    """Long wires with one bend, over everything."""
    for _ in range(int(die.width_um * die.height_um / 70.0)):
        x_um, y_um = random.uniform(die.left_um, die.right_um), random.uniform(die.top_um, die.bottom_um)
        reach_x_um, reach_y_um = random.uniform(1.0, 12.0, 2)
        width_um, metal = random.uniform(2.0, 6.0) * SMALLEST_FEATURE_UM, _metal(random)
        canvas.rectangle(Box(x_um, x_um + reach_x_um, y_um, y_um + width_um), metal)
        canvas.rectangle(Box(x_um, x_um + width_um, y_um, y_um + reach_y_um), metal)


def _dust(canvas: Canvas, die: Box, random: Random) -> None:
    """Particles and pits; they are seen, not felt."""
    for _ in range(int(die.width_um * die.height_um * 0.25)):
        x_um, y_um = random.uniform(die.left_um, die.right_um), random.uniform(die.top_um, die.bottom_um)
        canvas.blob(x_um, y_um, random.uniform(0.03, 0.12), float(random.choice([0.05, 0.95])))


BLOCK_KINDS: tuple[Callable[[Canvas, Box, Random], None], ...] = (_lines, _vias, _pad, _logic)
BLOCK_SHARES = (0.35, 0.2, 0.1, 0.35)
