"""Where a frame really lies on the specimen: the scanner's word, rid of drift and backlash as far as they are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from acquisition.journal import Attempt
from acquisition.plan import Plan
from acquisition.sweeps import APPROACH_UM


@dataclass(frozen=True)
class Place:
    """Centre of a frame, in the scanner's frame; an axis is `sure` unless a backlash that nobody knows is in it."""

    x_um: float
    y_um: float
    sure: tuple[bool, bool]


class Approach:
    """From which side each axis comes to its targets, the first of them from below; wants all, in their order."""

    def __init__(self, sweeping: bool) -> None:
        self._sweeping = sweeping  # every sweep goes upwards in x
        self._last_um: tuple[float, float] | None = None
        self._downwards = (False, False)

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

    Where a stage has play, its sensors are right on one side only: that of moves in the positive direction. From which
    side it came an attempt tells itself; where it does not, as in older journals, that follows from the targets, if
    nothing came in between.
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
        if attempt.from_above is not None:
            downwards = "x" in attempt.from_above, "y" in attempt.from_above
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
    close and too far apart by turns. The attempt's target stays the place itself. From wherever else the scanner was
    sent, or has been left on its way, it comes to the next place by way of one below, which takes up its backlash.
    """

    def __init__(self, rig: Mapping[str, Any], limits_um: Mapping[str, tuple[float, float]]) -> None:
        self._backlash_um = _backlash_um(rig) or (0.0, 0.0)
        self._limits_um = limits_um
        self._downwards = (False, False)
        self._on_its_way = Approach(sweeping=False)
        self._here: Approach | None = None  # where the scanner stands; None: elsewhere, or on its way

    @property
    def is_set(self) -> bool:
        """Whether the scanner stands at a place that it was aimed at."""
        return self._here is not None

    @property
    def from_above(self) -> str:
        """Axes that come downwards to the place that was aimed at last."""
        return "".join(axis for axis, down in zip("xy", self._downwards, strict=True) if down)

    def set_out_below(self, x_um: float, y_um: float) -> dict[str, float]:
        """The target of both axes from which they come to a place upwards, as far as the limits allow."""
        below_um = self._within(x_um - APPROACH_UM, y_um - APPROACH_UM)
        self.leave()
        self._on_its_way = Approach(sweeping=False)
        self._downwards = self._on_its_way.downwards((below_um["x"], below_um["y"]))
        return below_um

    def set_out(self, x_um: float, y_um: float) -> dict[str, float]:
        """The target of both axes for a place, within the limits; from a place that the scanner was aimed at."""
        assert self._here is not None
        self._on_its_way = self._here
        self.leave()
        self._downwards = self._on_its_way.downwards((x_um, y_um))
        x_lost_um, y_lost_um = (lost * down for lost, down in zip(self._backlash_um, self._downwards, strict=True))
        aimed = self._within(x_um - x_lost_um, y_um - y_lost_um)
        for axis, place_um in (("x", x_um), ("y", y_um)):
            low_um, high_um = self._limits_um[axis]
            if not low_um <= place_um <= high_um:
                aimed[axis] = place_um  # it is the scanner that refuses it
        return aimed

    def arrive(self) -> None:
        """Take note that the scanner has come to the place that it was aimed at."""
        self._here = self._on_its_way

    def leave(self) -> None:
        """Take note that the scanner goes, or has gone, elsewhere."""
        self._here = None

    def _within(self, x_um: float, y_um: float) -> dict[str, float]:
        return {
            axis: min(max(um, self._limits_um[axis][0]), self._limits_um[axis][1])
            for axis, um in (("x", x_um), ("y", y_um))
        }


def _backlash_um(rig: Mapping[str, Any]) -> tuple[float, float] | None:
    known_um = rig.get("calibration", {}).get("backlash_um")
    return (known_um["x"], known_um["y"]) if known_um else None
