"""What must be true before a plan may move anything, and what the plan will cost. Moves nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from acquisition.overlap import grid_um, tiles
from acquisition.plan import Plan

SETTLE_ALLOWANCE_S = 0.05  # of a step of one field on a piezo scanner; measured times replace it in the report
BYTES_PER_PIXEL = 2
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
    if not found and (needed := cost(plan, field).disk_bytes) > free_bytes:
        found.append(f"disk: the run needs about {needed / 1e9:.1f} GB, {free_bytes / 1e9:.1f} GB are free")
    return found


def cost(plan: Plan, field: Field) -> Cost:
    """Tiles, overlap really planned (x, y; as a fraction), time and disk of a plan."""
    x_um, y_um = grid_um(plan, field.size_um)
    count = len(tiles(plan, field.size_um))
    pixels = field.shape_px[0] * field.shape_px[1]
    return Cost(
        tiles=count,
        rows=len(y_um),
        columns=len(x_um),
        overlap=(_overlap(x_um, field.size_um[0]), _overlap(y_um, field.size_um[1])),
        duration_s=count * (plan.camera.exposure_s + SETTLE_ALLOWANCE_S),
        disk_bytes=round(count * pixels * BYTES_PER_PIXEL * (1 + MOSAIC_SHARE)),
    )


def _overlap(centres_um: list[float], field_um: float) -> float:
    return 1 - (centres_um[1] - centres_um[0]) / field_um if len(centres_um) > 1 else 0.0
