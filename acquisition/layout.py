"""Where the tiles of a plan lie: a grid along the camera's axes over the region, in the order of the plan.

The grid is laid out in the camera's frame, that is in micrometre along its rows and columns, where every field is an
upright rectangle however the camera is turned; the places of the tiles are the scanner's. A sweep follows the
scanner's x axis, so in line mode the rows do, too, and a turn of the camera is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from acquisition.field import Field, as_matrix
from acquisition.overlap import PlannedTile, centres_um, steps_along
from acquisition.plan import Plan
from acquisition.polygon import touched
from devices.camera_matrix import Matrix
from devices.protocols import Roi


@dataclass(frozen=True)
class Correction:
    """From the row after `row` on, the camera lies in the scanner's frame as `matrix_um` says."""

    row: int
    matrix_um: Matrix

    @classmethod
    def noted(cls, data: Mapping[str, Any]) -> Self:
        """Read it from its event in the journal."""
        return cls(int(data["row"]), as_matrix(data["matrix_um"]))


@dataclass(frozen=True)
class Grid:
    """Centres of columns and rows in the camera's frame, and which of their crossings are taken (rows, columns)."""

    x_um: list[float]
    y_um: list[float]
    taken: NDArray[np.bool_]


def layout(plan: Plan, field: Field, corrections: Sequence[Correction] = ()) -> list[PlannedTile]:
    """Every tile in the order in which it is taken.

    A correction leaves the rows up to its own as they are and covers what lies below them anew. A plan that follows a
    video lays out none.
    """
    if plan.follows_video:
        return []
    tiles = _tiles(plan, field, grid(plan, field))
    for correction in corrections:
        begun = [tile for tile in tiles if tile.row <= correction.row]
        tiles = begun + _below(plan, field.seen_as(correction.matrix_um), begun)
    return tiles


def grid(plan: Plan, field: Field) -> Grid:
    """Cover the region with the fewest fields that overlap as much as the plan asks."""
    outline_um = seen_outline_um(plan, field)
    x_um, y_um = (centres_um(*_span(outline_um, axis), field.size_um[axis], plan.tiles.overlap) for axis in range(2))
    return Grid(x_um, y_um, touched(outline_um, x_um, y_um, field.size_um))


def steps(plan: Plan, field: Field) -> tuple[int, int]:
    """How many steps the grid makes across and down; lays out nothing."""
    across, down = (
        steps_along(high_um - low_um, side_um, plan.tiles.overlap)
        for (low_um, high_um), side_um in zip(seen_spans_um(plan, field), field.size_um, strict=True)
    )
    return across, down


def seen_spans_um(plan: Plan, field: Field) -> tuple[tuple[float, float], tuple[float, float]]:
    """What the region fills along the camera's rows (x) and columns (y)."""
    outline_um = seen_outline_um(plan, field)
    return _span(outline_um, 0), _span(outline_um, 1)


def seen_outline_um(plan: Plan, field: Field) -> NDArray[np.float64]:
    """Corners of the region in the camera's frame, (n, 2) as x, y."""
    return np.asarray(plan.region.outline_um, dtype=np.float64) @ np.linalg.inv(_turn(plan, field)).T


def runs(row: Sequence[PlannedTile]) -> list[list[PlannedTile]]:
    """Split the tiles of one row where a column is left out: what one sweep can take."""
    found: list[list[PlannedTile]] = []
    for tile in row:
        if found and abs(tile.col - found[-1][-1].col) == 1:
            found[-1].append(tile)
        else:
            found.append([tile])
    return found


def beyond_limits(tiles: Sequence[PlannedTile], limits_um: Mapping[str, tuple[float, float]]) -> PlannedTile | None:
    """Find a tile to which the scanner cannot go; an axis whose limits are not known is not judged."""
    x_um, y_um = (limits_um.get(axis, (-np.inf, np.inf)) for axis in ("x", "y"))
    outside = (t for t in tiles if not (x_um[0] <= t.x_um <= x_um[1] and y_um[0] <= t.y_um <= y_um[1]))
    return next(outside, None)


def camera_area(plan: Plan, field: Field) -> tuple[Roi | None, Field]:
    """Cut the camera area, where the plan says so, until the fewest tiles overlap exactly as much as it asks.

    As much is cut on either side, for some cameras have it so. A direction in which one field fills the region is
    left as it is. Without a cut the part of the sensor is None.
    """
    if plan.tiles.fit == "step":
        return None, field
    wanted = plan.tiles.overlap
    left_px = []
    for side_px, span_um, count in zip(
        reversed(field.shape_px), seen_spans_um(plan, field), steps(plan, field), strict=True
    ):
        needed_um = (span_um[1] - span_um[0]) / (1 + count * (1 - wanted))
        spare_px = side_px - needed_um / field.pixel_size_um
        left_px.append(int(spare_px / 2) if count else 0)
    (left, top), (rows, columns) = left_px, field.shape_px
    if not (left or top):
        return None, field
    roi = Roi(left, top, columns - 2 * left, rows - 2 * top)
    return roi, Field((roi.height, roi.width), field.pixel_size_um, field.camera_to_stage_um)


def _turn(plan: Plan, field: Field) -> NDArray[np.float64]:
    return np.eye(2) if plan.tiles.mode == "line" else field.turn


def _span(points: NDArray[np.float64], axis: int) -> tuple[float, float]:
    return float(points[:, axis].min()), float(points[:, axis].max())


def _below(plan: Plan, field: Field, begun: Sequence[PlannedTile]) -> list[PlannedTile]:
    """Cover what the rows begun leave of the region; the highest tile of the last row is the one to overlap with."""
    outline_um = seen_outline_um(plan, field)
    (width_um, height_um), wanted = field.size_um, plan.tiles.overlap
    last = begun[-1].row
    places_um = np.array([(tile.x_um, tile.y_um) for tile in begun if tile.row == last])
    centre_um = float((places_um @ np.linalg.inv(_turn(plan, field)).T)[:, 1].min())
    _, bottom_um = _span(outline_um, 1)
    y_um = centres_um(centre_um - height_um / 2, bottom_um, height_um, wanted)[1:]
    x_um = centres_um(*_span(outline_um, 0), width_um, wanted)
    if not y_um:
        return []
    covering = Grid(x_um, y_um, touched(outline_um, x_um, y_um, field.size_um))
    return _tiles(plan, field, covering, first_row=last + 1, first_index=len(begun))


def _tiles(plan: Plan, field: Field, covering: Grid, first_row: int = 0, first_index: int = 0) -> list[PlannedTile]:
    turn = _turn(plan, field)
    rows, columns = covering.taken.shape
    found: list[PlannedTile] = []
    for row, col in _order(plan, rows, columns, first_row):
        if covering.taken[row, col]:
            x_um, y_um = (turn @ (covering.x_um[col], covering.y_um[row])).tolist()
            found.append(PlannedTile(first_index + len(found), first_row + row, col, x_um, y_um))
    return found


def _order(plan: Plan, rows: int, columns: int, first_row: int) -> Iterator[tuple[int, int]]:
    if plan.tiles.order == "spiral":
        return _spiral(rows, columns)
    # every sweep comes from the same side, so play and lag of the stage are the same in all rows
    turning = plan.tiles.order == "serpentine" and plan.tiles.mode == "step"
    return (
        (row, columns - 1 - col if turning and (first_row + row) % 2 else col)
        for row in range(rows)
        for col in range(columns)
    )


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
