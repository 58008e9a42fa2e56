"""A closed-loop axis whose amplifier gives no more: it comes to the end of its reach and creeps on from there."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hardware_sim.approach import Approach
from hardware_sim.motion import Vector
from hardware_sim.piezo import Creep


@dataclass(frozen=True)
class Saturated:
    """A move to the end of the reach; the stack creeps on towards a target beyond, at a constant voltage."""

    reach: Approach
    target_um: float

    @property
    def start_s(self) -> float:
        """World time of its beginning."""
        return self.reach.start_s

    @property
    def arrives_s(self) -> float:
        """World time from which it only creeps."""
        return self.reach.arrives_s

    @cached_property
    def _creep(self) -> Creep:
        return Creep(self.reach.arrives_s, self.reach.target_um - self.reach.start_um)

    def on_target_s(self, settle_s: float) -> float:
        """Never."""
        return float("inf")

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        crept_um = self.reach.positions_um(times_s) + self._creep.um_at(times_s)
        beyond_um = sorted((self.reach.target_um, self.target_um))
        ends_um = (min(self.reach.start_um, beyond_um[0]), max(self.reach.start_um, beyond_um[1]))
        clipped: Vector = np.clip(crept_um, *ends_um)
        return clipped

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        return np.full(len(times_s), self.target_um)

    def progress(self, times_s: Vector) -> Vector:
        """The part of the way within reach that lies behind, 0..1."""
        return self.reach.progress(times_s)

    def resumed(self, time_s: float, position_um: float) -> "Saturated":
        """What is left to do for an axis that stands elsewhere at a later time."""
        return Saturated(self.reach.resumed(time_s, position_um), self.target_um)
