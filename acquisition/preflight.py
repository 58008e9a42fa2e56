"""What must be true before a plan may move anything, and what the plan will cost. Moves nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from acquisition.field import Field
from acquisition.layout import beyond_limits, grid, layout, runs, seen_spans_um, steps
from acquisition.overlap import overlap_of
from acquisition.plan import Plan
from acquisition.sweeps import middle_s, sweep_along, sweep_speed_um_per_s
from devices.errors import OutOfRange
from devices.protocols import Camera, LineScanner, Positioner, Sweep

SETTLE_ALLOWANCE_S = 0.05  # of a step of one field on a piezo scanner; measured times replace it in the report
BYTES_PER_PIXEL = 2
FOCUS_ALLOWANCE_S = 3.0  # of one search
APPROACH_ALLOWANCE_S = 20.0  # of the probe, once
TOUCH_DOWN_ALLOWANCE_S = 0.5  # and on each tile, where it hovers between them
TURN_ALLOWANCE_S = 0.5  # back to the left, run-up, and reading out where the triggers fired
MOST_TILES = 1_000_000  # beyond, a slip of the pen is likelier than a plan of years
MOSAIC_SHARE = 2 * 4 / 3  # two layers, each with its pyramid


@dataclass(frozen=True)
class Cost:
    """What a plan amounts to."""

    tiles: int
    rows: int
    columns: int
    overlap: tuple[float, float]
    duration_s: float
    disk_bytes: int


def problems(plan: Plan, limits_um: Mapping[str, tuple[float, float]], free_bytes: int, field: Field) -> list[str]:
    """Every reason why the plan cannot run on a scanner with these limits; empty when it can.

    An axis whose limits are not known yet is not judged: its controller tells them once the rig is open.
    """
    found = [
        f"{plan.region.key(axis)} = {low:g}..{high:g} um reaches outside the scanner's travel on axis {axis}, "
        f"{limits_um[axis][0]:g}..{limits_um[axis][1]:g} um"
        for axis, (low, high) in (("x", plan.region.x_um), ("y", plan.region.y_um))
        if axis in limits_um and (low < limits_um[axis][0] or high > limits_um[axis][1])
    ]
    costs = cost(plan, field)
    if costs.tiles > MOST_TILES:
        return [*found, f"region: {costs.tiles} tiles are outside 1..{MOST_TILES}"]
    if not costs.tiles:
        return [*found, f"{plan.region.key('x')}: no field of view shares more than its rim with so thin a region"]
    if not found and (tile := beyond_limits(layout(plan, field), limits_um)):
        found.append(
            f"region: for a turned camera tile {tile.index} lies at ({tile.x_um:g}, {tile.y_um:g}) um, outside the "
            f"scanner's travel; keep the region away from its ends"
        )
    if costs.disk_bytes > free_bytes:
        needed, free = costs.disk_bytes / 1e6, free_bytes / 1e6
        found.append(f"disk: the run needs about {needed:.0f} MB, {free:.0f} MB are free")
    return found


def sweep_problems(
    plan: Plan,
    limits_um: Mapping[str, tuple[float, float]],
    field: Field,
    skew_s: float,
    sweep_ends_um: Callable[[Sweep], tuple[float, float]],
) -> list[str]:
    """Why the rows of a plan that has no other problems cannot be swept; a row of one tile is not swept.

    Args:
        skew_s: of the camera.
        sweep_ends_um: of the scanner, see `LineScanner`.
    """
    if plan.tiles.mode != "line" or "x" not in limits_um:
        return []
    delay_s, (low_um, high_um) = middle_s(plan.camera.exposure_s, skew_s), limits_um["x"]
    begin_um, end_um = high_um, low_um
    for places_um in _swept_um(plan, field):
        sweep = sweep_along(places_um, plan, field.pixel_size_um, delay_s)
        try:
            ends_um = sweep_ends_um(sweep)
        except OutOfRange as refusal:
            return [f"tiles.mode = 'line': {refusal}"]
        begin_um, end_um = min(begin_um, ends_um[0]), max(end_um, ends_um[1])
    if low_um <= begin_um and end_um <= high_um:
        return []
    return [
        f"tiles.mode = 'line': with its run-up a sweep goes over {begin_um:g}..{end_um:g} um, outside the scanner's "
        f"travel on axis x, {low_um:g}..{high_um:g} um; narrow region.x_um, lower line_blur_px, or use 'step'"
    ]


def inabilities(plan: Plan, field: Field, scanner: Positioner, camera: Camera) -> list[str]:
    """What a plan that has no other problems asks of an open rig that it cannot do."""
    if plan.tiles.mode != "line":
        return []
    if not isinstance(scanner, LineScanner):
        return ["tiles.mode = 'line': the scanner cannot sweep lines and fire the camera; use 'step'"]
    return sweep_problems(plan, scanner.limits_um, field, camera.skew_s, scanner.sweep_ends_um)


def cost(plan: Plan, field: Field, settle_s: float = SETTLE_ALLOWANCE_S) -> Cost:
    """Tiles, overlap really planned (x, y; as a fraction), time and disk of a plan.

    `settle_s` is what a step of one field takes until the scanner has settled, where it was measured.
    """
    lengths_um = [high_um - low_um for low_um, high_um in seen_spans_um(plan, field)]
    across, down = steps(plan, field)
    count = (across + 1) * (down + 1)
    if count <= MOST_TILES:
        count = int(grid(plan, field).taken.sum())
    pixels = field.shape_px[0] * field.shape_px[1]
    width_um, height_um = field.size_um
    return Cost(
        tiles=count,
        rows=down + 1,
        columns=across + 1,
        overlap=(overlap_of(lengths_um[0], width_um, across), overlap_of(lengths_um[1], height_um, down)),
        duration_s=_acquiring_s(plan, field, count, (lengths_um[0] - width_um) / across if across else 0.0, down + 1)
        + (count * settle_s if plan.tiles.mode == "step" else 0.0)
        + _attending_s(plan, count, down + 1),
        disk_bytes=round(count * pixels * BYTES_PER_PIXEL * (1 + MOSAIC_SHARE)),
    )


def _acquiring_s(plan: Plan, field: Field, tiles: int, step_um: float, rows: int) -> float:
    """Time to dwell on and expose, or to sweep over, so many tiles in so many rows, a step apart."""
    if plan.tiles.mode == "step":
        return tiles * (plan.camera.exposure_s + plan.tiles.dwell_s)
    sweeping_s = (tiles - rows) * step_um / sweep_speed_um_per_s(plan, field.pixel_size_um, step_um)
    return sweeping_s + rows * (plan.camera.exposure_s + TURN_ALLOWANCE_S)


def _attending_s(plan: Plan, tiles: int, rows: int) -> float:
    """Time for focus and force, as far as it adds to that for moving and exposing."""
    searches = {"none": 0, "once": 1, "row": rows, "tile": tiles, "map": plan.focus.map_points}[plan.focus.policy]
    approaches = 0 if plan.force.policy == "none" else 1
    touches = tiles if plan.force.policy == "hover" else 0
    return searches * FOCUS_ALLOWANCE_S + approaches * APPROACH_ALLOWANCE_S + touches * TOUCH_DOWN_ALLOWANCE_S


def _swept_um(plan: Plan, field: Field) -> set[tuple[float, ...]]:
    """The places (x) of each kind of sweep that there is; a single tile is not swept."""
    rows = groupby(layout(plan, field), key=lambda tile: tile.row)
    swept = (run for _, row in rows for run in runs(list(row)))
    return {tuple(tile.x_um for tile in run) for run in swept if len(run) > 1}
