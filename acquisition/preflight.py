"""What must be true before a plan may move anything, and what the plan will cost. Moves nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acquisition.overlap import grid_um, steps_along
from acquisition.plan import Plan
from acquisition.sweeps import middle_s, sweep_along, sweep_speed_um_per_s
from devices.errors import OutOfRange
from devices.protocols import Camera, LineScanner, Positioner, Sweep

SETTLE_ALLOWANCE_S = 0.05  # of a step of one field on a piezo scanner; measured times replace it in the report
BYTES_PER_PIXEL = 2
TURN_ALLOWANCE_S = 0.5  # back to the left, run-up, and reading out where the triggers fired
MOST_TILES = 1_000_000  # beyond, a slip of the pen is likelier than a plan of years
MOSAIC_SHARE = 2 * 4 / 3  # two layers, each with its pyramid


@dataclass(frozen=True)
class Field:
    """The camera's field of view on the specimen."""

    shape_px: tuple[int, int]  # rows, columns
    pixel_size_um: float

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height (x, y)."""
        rows, columns = self.shape_px
        return columns * self.pixel_size_um, rows * self.pixel_size_um


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
        f"region.{axis}_um = {low:g}..{high:g} um reaches outside the scanner's travel on axis {axis}, "
        f"{limits_um[axis][0]:g}..{limits_um[axis][1]:g} um"
        for axis, (low, high) in (("x", plan.region.x_um), ("y", plan.region.y_um))
        if axis in limits_um and (low < limits_um[axis][0] or high > limits_um[axis][1])
    ]
    if found:
        return found
    costs = cost(plan, field)
    if costs.tiles > MOST_TILES:
        found.append(f"region: {costs.tiles} tiles are outside 1..{MOST_TILES}")
    elif costs.disk_bytes > free_bytes:
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
    places_um, _ = grid_um(plan, field.size_um)
    if plan.tiles.mode != "line" or len(places_um) == 1 or "x" not in limits_um:
        return []
    sweep = sweep_along(places_um, plan, field.pixel_size_um, middle_s(plan.camera.exposure_s, skew_s))
    try:
        begin_um, end_um = sweep_ends_um(sweep)
    except OutOfRange as refusal:
        return [f"tiles.mode = 'line': {refusal}"]
    low_um, high_um = limits_um["x"]
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


def cost(plan: Plan, field: Field) -> Cost:
    """Tiles, overlap really planned (x, y; as a fraction), time and disk of a plan; lays out no tile."""
    spans_um = (plan.region.x_um, plan.region.y_um)
    lengths_um = [high_um - low_um for low_um, high_um in spans_um]
    wanted = plan.tiles.overlap
    across, down = (steps_along(*along, wanted) for along in zip(lengths_um, field.size_um, strict=True))
    count = (across + 1) * (down + 1)
    pixels = field.shape_px[0] * field.shape_px[1]
    return Cost(
        tiles=count,
        rows=down + 1,
        columns=across + 1,
        overlap=(_overlap(lengths_um[0], field.size_um[0], across), _overlap(lengths_um[1], field.size_um[1], down)),
        duration_s=_duration_s(plan, field, across, down),
        disk_bytes=round(count * pixels * BYTES_PER_PIXEL * (1 + MOSAIC_SHARE)),
    )


def _duration_s(plan: Plan, field: Field, across: int, down: int) -> float:
    """Time for a grid of `across` by `down` steps."""
    if plan.tiles.mode == "step":
        return (across + 1) * (down + 1) * (plan.camera.exposure_s + SETTLE_ALLOWANCE_S)
    step_um = (plan.region.x_um[1] - plan.region.x_um[0] - field.size_um[0]) / across if across else 0.0
    sweep_s = plan.camera.exposure_s + across * step_um / sweep_speed_um_per_s(plan, field.pixel_size_um, step_um)
    return (down + 1) * (sweep_s + TURN_ALLOWANCE_S)


def _overlap(length_um: float, field_um: float, steps: int) -> float:
    return 1 - (length_um - field_um) / steps / field_um if steps else 0.0
