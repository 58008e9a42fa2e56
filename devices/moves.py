"""Targets against limits, and a move under way."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from devices.errors import OutOfRange

Limits = Mapping[str, tuple[float, float]]

SLOWEST_FACTOR = 5.0  # a move may take this many times distance / speed before it counts as stuck
MOST_TRAVELS = 10.0  # no axis is further from its travel than this many times its length, referenced or not


@dataclass(frozen=True)
class Move:
    """Where the axes were sent, until when they may take, the stop token of that moment, and how far that was."""

    targets_um: Mapping[str, float]
    allowed_s: float
    deadline: float
    stop_token: object
    ways_um: Mapping[str, float] = field(default_factory=dict)

    @property
    def began(self) -> float:
        """On the clock of `time.monotonic`."""
        return self.deadline - self.allowed_s


def refuse_outside(device: str, targets_um: Mapping[str, float], limits_um: Limits) -> None:
    """Check every target, NaN included.

    Raises:
        OutOfRange: naming each bad target and its range.
    """
    problems = [f"no axis {axis} (axes: {', '.join(limits_um)})" for axis in targets_um if axis not in limits_um]
    for axis in targets_um.keys() & limits_um.keys():
        low, high = limits_um[axis]
        if not low <= targets_um[axis] <= high:
            problems.append(f"{axis} = {targets_um[axis]:g} um is outside {low:g}..{high:g} um")
    if problems:
        raise OutOfRange(device, "; ".join(sorted(problems)))


def tighter(device: str, axis: str, ours: tuple[float, float], controllers: tuple[float, float]) -> tuple[float, float]:
    """Return the range that both allow.

    Raises:
        OutOfRange: they do not overlap.
    """
    low, high = max(ours[0], controllers[0]), min(ours[1], controllers[1])
    if not low < high:
        raise OutOfRange(
            device,
            f"limits_um of {axis}, {ours[0]:g}..{ours[1]:g} um, share nothing with the controller's"
            f" {controllers[0]:g}..{controllers[1]:g} um",
        )
    return low, high


def allowed_s(
    distances_um: Mapping[str, float], limits_um: Limits, speeds_um_per_s: Mapping[str, float], settle_s: float
) -> float:
    """Longest time a healthy move can take: the slowest axis several times over, and `settle_s`.

    No axis can have further to go than from one limit to the other, wherever it says that it is.
    """
    travel_s = 0.0
    for axis, distance_um in distances_um.items():
        low, high = limits_um[axis]
        travel_s = max(travel_s, min(abs(distance_um), high - low) / speeds_um_per_s[axis])
    return settle_s + SLOWEST_FACTOR * travel_s


def arrived(position_um: Mapping[str, float], targets_um: Mapping[str, float], tolerance_um: float) -> bool:
    """Tell whether every target axis is within `tolerance_um`."""
    return all(abs(position_um[axis] - target) <= tolerance_um for axis, target in targets_um.items())


def plausible(position_um: dict[str, float], travel_um: Limits) -> dict[str, float]:
    """Return positions that axes of these travels can have.

    Raises:
        ValueError: one is far beyond its travel.
    """
    for axis, value_um in position_um.items():
        low, high = travel_um[axis]
        if not low - MOST_TRAVELS * (high - low) <= value_um <= high + MOST_TRAVELS * (high - low):
            raise ValueError(f"{axis} = {value_um:g} um is far beyond its travel of {low:g}..{high:g} um")
    return position_um


def usable_speed(value_um_per_s: float) -> bool:
    """Tell whether a speed can be divided by."""
    return math.isfinite(value_um_per_s) and value_um_per_s > 0


def spell(position_um: Mapping[str, float]) -> str:
    """Positions for a message: `x = 1.5 um, y = 2 um`."""
    return ", ".join(f"{axis} = {value:.6g} um" for axis, value in position_um.items())
