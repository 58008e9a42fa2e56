"""How one closed-loop piezo axis gets from here to there."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Approach:
    """One move: at the slew rate while far, then exponentially, then straight into the target.

    The last stretch, below `tolerance_um`, keeps the speed of its first moment. So the axis arrives exactly,
    one time constant after it entered the tolerance, and what is photographed afterwards does not depend on when.
    """

    start_s: float
    start_um: float
    target_um: float
    slew_um_per_s: float
    time_constant_s: float
    tolerance_um: float

    @property
    def distance_um(self) -> float:
        """How far the move goes."""
        return abs(self.target_um - self.start_um)

    @property
    def _exponential_from_um(self) -> float:
        return min(self.distance_um, self.slew_um_per_s * self.time_constant_s)

    @property
    def _slew_for_s(self) -> float:
        return (self.distance_um - self._exponential_from_um) / self.slew_um_per_s

    @property
    def _straight_from_um(self) -> float:
        return min(self._exponential_from_um, self.tolerance_um)

    @property
    def within_tolerance_s(self) -> float:
        """World time from which the target is closer than the tolerance."""
        if self.distance_um == 0:
            return self.start_s
        shrink_s = self.time_constant_s * math.log(self._exponential_from_um / self._straight_from_um)
        return self.start_s + self._slew_for_s + shrink_s

    @property
    def arrives_s(self) -> float:
        """World time from which the axis stands on its target."""
        return self.within_tolerance_s + (self.time_constant_s if self.distance_um else 0.0)

    def on_target_s(self, settle_s: float) -> float:
        """World time from which the controller calls the axis on target: settled, and never before it arrived."""
        if self.distance_um == 0:
            return self.start_s
        return max(self.arrives_s, self.within_tolerance_s + settle_s)

    def remaining_um(self, time_s: float) -> float:
        """Distance left at `time_s`."""
        elapsed_s = time_s - self.start_s
        if time_s >= self.arrives_s:
            return 0.0
        if elapsed_s <= self._slew_for_s:
            return self.distance_um - self.slew_um_per_s * max(elapsed_s, 0.0)
        if time_s <= self.within_tolerance_s:
            return self._exponential_from_um * math.exp(-(elapsed_s - self._slew_for_s) / self.time_constant_s)
        return self._straight_from_um * (self.arrives_s - time_s) / self.time_constant_s

    def position_um(self, time_s: float) -> float:
        """Where the axis is at `time_s`."""
        return self.target_um - math.copysign(self.remaining_um(time_s), self.target_um - self.start_um)

    def progress(self, time_s: float) -> float:
        """The part of the way that lies behind, 0..1; 1 for a move that goes nowhere."""
        return 1.0 - self.remaining_um(time_s) / self.distance_um if self.distance_um else 1.0
