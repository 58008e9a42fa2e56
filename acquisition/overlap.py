"""Which fields of view cover a region: exactly, with at least the overlap asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from acquisition.plan import Plan

ROUNDING = 1e-9  # relative; keeps a region of exactly n steps from needing a tile more


@dataclass(frozen=True)
class PlannedTile:
    """A field of view to be taken: its place in the order and the grid, and where its centre lies."""

    index: int
    row: int
    col: int
    x_um: float
    y_um: float


def centres_um(low_um: float, high_um: float, field_um: float, overlap: float) -> list[float]:
    """Centres of the fewest fields that fill low..high to both ends, neighbours sharing at least `overlap` of a field.

    The spacing is even. A span no longer than one field gets one field in its middle.
    """
    steps = steps_along(high_um - low_um, field_um, overlap)
    if steps == 0:
        return [(low_um + high_um) / 2]
    first_um, step_um = low_um + field_um / 2, (high_um - low_um - field_um) / steps
    return [first_um + i * step_um for i in range(steps + 1)]


def steps_along(length_um: float, field_um: float, overlap: float) -> int:
    """How many steps `centres_um` makes along a span: one less than its fields."""
    beyond_um = length_um - field_um * (1 + ROUNDING)
    return max(math.ceil(beyond_um / (field_um * (1 - overlap)) * (1 - ROUNDING)), 0)


def grid_um(plan: Plan, field_um: tuple[float, float]) -> tuple[list[float], list[float]]:
    """Centres of the columns (x) and of the rows (y), for a field of view (x, y)."""
    x_um = centres_um(*plan.region.x_um, field_um[0], plan.tiles.overlap)
    y_um = centres_um(*plan.region.y_um, field_um[1], plan.tiles.overlap)
    return x_um, y_um


def tiles(plan: Plan, field_um: tuple[float, float]) -> list[PlannedTile]:
    """Every tile of the plan in the order in which it is taken, for a field of view (x, y)."""
    x_um, y_um = grid_um(plan, field_um)
    order = {"raster": _raster, "serpentine": _serpentine, "spiral": _spiral}[plan.tiles.order]
    if plan.tiles.mode == "line":
        order = _raster  # every sweep comes from the same side, so play and lag of the stage are the same in all rows
    places = order(len(y_um), len(x_um))
    return [PlannedTile(i, row, col, x_um[col], y_um[row]) for i, (row, col) in enumerate(places)]


def _raster(rows: int, cols: int) -> Iterator[tuple[int, int]]:
    return ((row, col) for row in range(rows) for col in range(cols))


def _serpentine(rows: int, cols: int) -> Iterator[tuple[int, int]]:
    return ((row, col if row % 2 == 0 else cols - 1 - col) for row in range(rows) for col in range(cols))


def _spiral(rows: int, cols: int) -> Iterator[tuple[int, int]]:
    """From the middle outwards, in arms of length 1, 1, 2, 2, 3, 3 and so on."""
    row, col = (rows - 1) // 2, (cols - 1) // 2
    yield row, col
    for arm in range(2 * max(rows, cols)):
        down, right = ((0, 1), (1, 0), (0, -1), (-1, 0))[arm % 4]
        for _ in range(arm // 2 + 1):
            row, col = row + down, col + right
            if 0 <= row < rows and 0 <= col < cols:
                yield row, col
