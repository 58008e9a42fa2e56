"""Where a frame really lies on the specimen: the scanner's word, rid of drift and backlash as far as they are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from acquisition.journal import Attempt
from acquisition.plan import Plan


@dataclass(frozen=True)
class Place:
    """Centre of a frame, in the scanner's frame; an axis is `sure` unless a backlash that nobody knows is in it."""

    x_um: float
    y_um: float
    sure: tuple[bool, bool]


class Approach:
    """From which side each axis came to its last target; wants all targets, in their order."""

    def __init__(self, sweeping: bool) -> None:
        self._sweeping = sweeping  # every sweep goes upwards in x
        self._last_um: tuple[float, float] | None = None
        self._downwards = (False, False)  # the engine takes up the backlash before the first tile

    def downwards(self, target_um: tuple[float, float]) -> tuple[bool, bool]:
        """Note a target; whether x and y come to it from above."""
        before_um = self._last_um or target_um
        x, y = (
            was if now == before else now < before
            for now, before, was in zip(target_um, before_um, self._downwards, strict=True)
        )
        x = x and not self._sweeping
        self._last_um, self._downwards = target_um, (x, y)
        return x, y


class Places:
    """Works out the place of each attempt; wants all of them, in the order in which they were made.

    Where a stage has play, its sensors are right on one side only: that of moves in the positive direction.
    """

    def __init__(self, backlash_um: tuple[float, float] | None, approach: Approach) -> None:
        self._backlash_um = backlash_um  # None: not known
        self._approach = approach

    @classmethod
    def of_run(cls, plan: Plan, rig: Mapping[str, Any]) -> Self:
        """Begin a run, with the backlash of its rig."""
        return cls(_backlash_um(rig), Approach(plan.tiles.mode == "line"))

    def of(self, attempt: Attempt) -> Place | None:
        """The place of an attempt; None if it has none."""
        downwards = self._approach.downwards((attempt.target_x_um, attempt.target_y_um))
        if attempt.actual_x_um is None or attempt.actual_y_um is None:
            return None
        lost_um = [lost * down for lost, down in zip(self._backlash_um or (0.0, 0.0), downwards, strict=True)]
        return Place(
            attempt.actual_x_um + lost_um[0] - attempt.drift_x_um,
            attempt.actual_y_um + lost_um[1] - attempt.drift_y_um,
            (True, True) if self._backlash_um else (not downwards[0], not downwards[1]),
        )


class Aim:
    """Where to send the scanner so that it really comes to a place: lower by its backlash when it comes from above.

    Along the rows of a turned camera both axes change direction from row to row; without this, rows would lie too
    close and too far apart by turns. Wants every place, in their order; the attempt's target stays the place itself.
    """

    def __init__(self, rig: Mapping[str, Any], limits_um: Mapping[str, tuple[float, float]]) -> None:
        self._backlash_um = _backlash_um(rig) or (0.0, 0.0)
        self._limits_um = limits_um
        self._approach = Approach(sweeping=False)

    def at(self, x_um: float, y_um: float) -> dict[str, float]:
        """The target of both axes for a place, within the limits."""
        downwards = self._approach.downwards((x_um, y_um))
        aimed = {}
        for axis, place_um, lost_um, down in zip("xy", (x_um, y_um), self._backlash_um, downwards, strict=True):
            low_um, high_um = self._limits_um[axis]
            within = low_um <= place_um <= high_um  # if not, it is the scanner that refuses it
            aimed[axis] = min(max(place_um - lost_um * down, low_um), high_um) if within else place_um
        return aimed


def _backlash_um(rig: Mapping[str, Any]) -> tuple[float, float] | None:
    known_um = rig.get("calibration", {}).get("backlash_um")
    return (known_um["x"], known_um["y"]) if known_um else None
