"""The way of a target along a wave table, as often as it is run through."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.motion import Vector

ROUNDING = 1e-6
"""Of a step: who asks for its very beginning must not get the one before."""


@dataclass(frozen=True, eq=False)
class Course:
    """The target takes a point every `step_s`: at once, or straight from each to the next."""

    points_um: Vector
    step_s: float
    is_straight: bool = False
    cycles: float = 1
    """How often all points are gone through; infinity for a course without an end."""
    shift_um: float = 0.0
    """By which each cycle lies above the one before."""

    @property
    def duration_s(self) -> float:
        """How long it lasts in all."""
        return self.step_s * len(self.points_um) * self.cycles

    @property
    def stands_from_s(self) -> float:
        """Time from its beginning on at which the target is at its last point."""
        return self.step_s * (len(self.points_um) * self.cycles - 1)

    @property
    def last_um(self) -> float:
        """Where it ends; without an end, the last point of the table."""
        return float(self.points_um[-1]) + (self.shift_um * (self.cycles - 1) if math.isfinite(self.cycles) else 0.0)

    @property
    def range_um(self) -> tuple[float, float]:
        """The lowest and the highest place it comes to."""
        shift_um = self.shift_um * (self.cycles - 1) if self.shift_um else 0.0
        lowest_um, highest_um = float(self.points_um.min()), float(self.points_um.max())
        return lowest_um + min(shift_um, 0.0), highest_um + max(shift_um, 0.0)


class Pieces:
    """One period of a course: some whole cycles, each step of which is a straight piece."""

    def __init__(self, course: Course, least_s: float) -> None:
        """Take as many cycles as last for `least_s`, or all of them."""
        cycles = int(min(math.ceil(least_s / (course.step_s * len(course.points_um))), course.cycles))
        shifts_um = course.shift_um * np.arange(cycles)
        self.starts_um: Vector = (course.points_um + shifts_um[:, None]).ravel()
        self.shift_um = course.shift_um * cycles
        ways_um = np.diff(self.starts_um, append=self.starts_um[0] + self.shift_um)
        self.rates_um_per_s = ways_um / course.step_s if course.is_straight else np.zeros(len(ways_um))
        self.jumps_um = np.zeros(len(ways_um)) if course.is_straight else ways_um
        """From the end of each piece to the beginning of the next."""

    def targets_um(self, pieces: NDArray[np.int64], since_s: Vector) -> Vector:
        """Where the target is, so long after the beginning of a piece; pieces are counted through all periods."""
        period, piece = np.divmod(pieces, len(self.starts_um))
        targets_um: Vector = self.starts_um[piece] + period * self.shift_um + self.rates_um_per_s[piece] * since_s
        return targets_um
