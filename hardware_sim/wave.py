"""A closed-loop axis that follows a waveform."""

import math
from dataclasses import dataclass

import numpy as np

from hardware_sim.approach import Approach, remaining_um
from hardware_sim.motion import Motion, Vector

ROUNDING = 1e-6
"""Of a step: who asks for its very beginning must not get the one before."""


@dataclass(frozen=True)
class Wave:
    """The target steps through `steps_um`, one every `step_s`; the axis closes in on each as it does in a move.

    After the last step it goes on like a move to that target.
    """

    start_s: float
    step_s: float
    steps_um: Vector
    corners_um: Vector
    """Where the axis is at the beginning of each step, and at the end of the last."""
    slew_um_per_s: float
    time_constant_s: float
    tail: Approach

    @property
    def ends_s(self) -> float:
        """World time at which the last step is over."""
        return self.start_s + self.step_s * len(self.steps_um)

    @property
    def target_um(self) -> float:
        """Where it leads."""
        return self.tail.target_um

    @property
    def arrives_s(self) -> float:
        """World time from which the axis stands on the last step."""
        return max(self.tail.arrives_s, self.ends_s)

    def on_target_s(self, settle_s: float) -> float:
        """World time from which the controller calls the axis on target."""
        return max(self.tail.on_target_s(settle_s), self.ends_s)

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        step = self._step(times_s)
        elapsed_s = times_s - self.start_s - step * self.step_s
        target_um, way_um = self.steps_um[step], self.steps_um[step] - self.corners_um[step]
        left_um = remaining_um(np.abs(way_um), elapsed_s, self.slew_um_per_s, self.time_constant_s)
        following_um = target_um - np.copysign(left_um, way_um)
        return np.where(times_s < self.ends_s, following_um, self.tail.positions_um(times_s))

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        return self.steps_um[self._step(times_s)]

    def progress(self, times_s: Vector) -> Vector:
        """The part of the time that lies behind, 0..1."""
        return np.clip((times_s - self.start_s) / (self.ends_s - self.start_s), 0.0, 1.0)

    def resumed(self, time_s: float, position_um: float) -> Motion:
        """What is left to do for an axis that stands elsewhere at a later time."""
        if time_s >= self.ends_s:
            return self.tail.resumed(time_s, position_um)
        time_s = max(time_s, self.start_s)
        done = int((time_s - self.start_s) / self.step_s)
        left_um = self.steps_um[min(done, len(self.steps_um) - 1) :]
        return wave(self.step_s, left_um, self.tail.resumed(time_s, position_um))

    def _step(self, times_s: Vector) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        steps = np.floor((times_s - self.start_s) / self.step_s + ROUNDING).astype(np.intp)
        return np.clip(steps, 0, len(self.steps_um) - 1)


def wave(step_s: float, steps_um: Vector, like: Approach) -> Wave:
    """Follow `steps_um` from where and when the move `like` begins, with the loop that `like` has."""
    corners_um = [like.start_um]
    slew_um_per_s, time_constant_s = like.slew_um_per_s, like.time_constant_s
    knee_um, decay = slew_um_per_s * time_constant_s, math.exp(-step_s / time_constant_s)
    for target_um in steps_um.tolist():
        way_um = target_um - corners_um[-1]
        if abs(way_um) <= knee_um:
            left_um = way_um * decay
        else:
            left_um = math.copysign(float(remaining_um(abs(way_um), step_s, slew_um_per_s, time_constant_s)), way_um)
        corners_um.append(target_um - left_um)
    ends_s = like.start_s + step_s * len(steps_um)
    tail = Approach(ends_s, corners_um[-1], float(steps_um[-1]), slew_um_per_s, time_constant_s, like.tolerance_um)
    return Wave(like.start_s, step_s, steps_um, np.array(corners_um), slew_um_per_s, time_constant_s, tail)
