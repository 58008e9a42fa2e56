"""How one closed-loop piezo axis gets from here to there."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hardware_sim.motion import Vector


def remaining_um(
    distance_um: float | Vector, elapsed_s: float | Vector, slew_um_per_s: float, time_constant_s: float
) -> Vector:
    """Distance left after `elapsed_s` of a way of `distance_um`: a loop of first order with a limited speed."""
    exponential_from_um = np.minimum(distance_um, slew_um_per_s * time_constant_s)
    slews_for_s = (distance_um - exponential_from_um) / slew_um_per_s
    shrinking_s = np.maximum(elapsed_s - slews_for_s, 0.0)
    shrinking_um = exponential_from_um * np.exp(-shrinking_s / time_constant_s)
    left_um: Vector = np.where(elapsed_s < slews_for_s, distance_um - slew_um_per_s * elapsed_s, shrinking_um)
    return left_um


@dataclass(frozen=True)
class Approach:
    """One move: at the slew rate while far, then exponentially, then straight into the target.

    This is an integrating controller with a notch at the stage's resonance: a loop of first order. The last stretch,
    below `tolerance_um`, keeps the speed of its first moment. So the axis arrives exactly, one time constant after it
    entered the tolerance, and what is photographed afterwards does not depend on when.
    """

    start_s: float
    start_um: float
    target_um: float
    slew_um_per_s: float
    time_constant_s: float
    tolerance_um: float

    @cached_property
    def distance_um(self) -> float:
        """How far the move goes."""
        return abs(self.target_um - self.start_um)

    @cached_property
    def _exponential_from_um(self) -> float:
        return min(self.distance_um, self.slew_um_per_s * self.time_constant_s)

    @cached_property
    def _slew_for_s(self) -> float:
        return (self.distance_um - self._exponential_from_um) / self.slew_um_per_s

    @cached_property
    def _straight_from_um(self) -> float:
        return min(self._exponential_from_um, self.tolerance_um)

    @cached_property
    def within_tolerance_s(self) -> float:
        """World time from which the target is closer than the tolerance."""
        if self.distance_um == 0:
            return self.start_s
        shrink_s = self.time_constant_s * math.log(self._exponential_from_um / self._straight_from_um)
        return self.start_s + self._slew_for_s + shrink_s

    @cached_property
    def arrives_s(self) -> float:
        """World time from which the axis stands on its target."""
        return self.within_tolerance_s + (self.time_constant_s if self.distance_um else 0.0)

    def on_target_s(self, settle_s: float) -> float:
        """World time from which the controller calls the axis on target: settled, and never before it arrived."""
        if self.distance_um == 0:
            return self.start_s
        return max(self.arrives_s, self.within_tolerance_s + settle_s)

    def remaining_um(self, times_s: Vector) -> Vector:
        """Distance left at each of `times_s`."""
        if times_s.min() >= self.arrives_s:
            return np.zeros(len(times_s))
        elapsed_s = np.maximum(times_s - self.start_s, 0.0)
        closing_um = remaining_um(self.distance_um, elapsed_s, self.slew_um_per_s, self.time_constant_s)
        straight_um = self._straight_from_um * (self.arrives_s - times_s) / self.time_constant_s
        left_um = np.where(times_s > self.within_tolerance_s, straight_um, closing_um)
        return np.where(times_s >= self.arrives_s, 0.0, left_um)

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        sign = 1.0 if self.target_um >= self.start_um else -1.0
        return self.target_um - sign * self.remaining_um(times_s)

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        return np.full(len(times_s), self.target_um)

    def progress(self, times_s: Vector) -> Vector:
        """The part of the way that lies behind, 0..1; 1 for a move that goes nowhere."""
        if not self.distance_um:
            return np.ones(len(times_s))
        return 1.0 - self.remaining_um(times_s) / self.distance_um

    def resumed(self, time_s: float, position_um: float) -> "Approach":
        """What is left to do for an axis that stands elsewhere at a later time."""
        return replace(self, start_s=time_s, start_um=position_um)
