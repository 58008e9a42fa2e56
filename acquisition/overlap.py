"""How far fields of view lie apart: evenly, filling a span exactly, with at least the overlap asked for."""

import math
from dataclasses import dataclass

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


def overlap_of(length_um: float, field_um: float, steps: int) -> float:
    """Which part of a field neighbours share when so many steps fill a span; 0 for a single field."""
    return 1 - (length_um - field_um) / steps / field_um if steps else 0.0
