"""When the controller calls an axis on target: |position - target| < tolerance for the settling time (E-727 manual)."""

import math
from dataclasses import dataclass

import numpy as np

from hardware_sim.clock import Clock
from hardware_sim.gcs_parameters import SETTLING_S, TOLERANCE_UM, ParameterMemory
from hardware_sim.mechanics import TRAVEL_UM, Scanner
from hardware_sim.sensor_path import Path

SHORTEST_LOOK_S = 1e-3


@dataclass(frozen=True, eq=False)
class _Change:
    """One change of a motion; no two are equal, even at the same time."""

    time_s: float


class OnTarget:
    """The on-target signals of all axes; what is known of a motion is found once."""

    def __init__(self, scanner: Scanner, clock: Clock, parameters: ParameterMemory) -> None:
        self._scanner = scanner
        self._clock = clock
        self._parameters = parameters
        self._change = dict.fromkeys(range(len(TRAVEL_UM)), _Change(0.0))
        self._known: dict[int, tuple[_Change, float, float]] = {}  # for change and tolerance_um, inside_from_s
        scanner.on_motion(self._note)

    def _note(self, axis: int) -> None:
        self._change[axis] = _Change(self._clock.now_s())

    def is_on_target(self, axis: int) -> bool:
        """Tell the state of the signal now."""
        if not self._scanner.servo_on(axis) or self._scanner.is_following(axis):
            return False
        return self._clock.now_s() >= self.from_s(axis)

    def from_s(self, axis: int) -> float:
        """World time from which the axis is on target: infinity for never, minus infinity for always."""
        change, tolerance_um = self._change[axis], self._parameters.number(TOLERANCE_UM, axis)
        known = self._known.get(axis)
        if known is None or known[:2] != (change, tolerance_um):
            known = (change, tolerance_um, self._inside_from_s(axis, change.time_s, tolerance_um))
            self._known[axis] = known
        return known[2] + self._parameters.number(SETTLING_S, axis)

    def _inside_from_s(self, axis: int, changed_s: float, tolerance_um: float) -> float:
        begins_s = max(changed_s, self._scanner.settles_from_s(axis))
        if math.isinf(begins_s):
            return math.inf
        ends_s = max(self._scanner.motion_ends_s(axis), begins_s + SHORTEST_LOOK_S)
        target_um = float(self._scanner.commanded_um_at(axis, np.array([ends_s]))[0])
        path = Path.between(self._scanner, axis, begins_s, ends_s)
        outside = np.flatnonzero(np.abs(path.places_um - target_um) >= tolerance_um)
        if not len(outside):
            return begins_s if begins_s > changed_s else -math.inf
        last = int(outside[-1])
        if last == len(path.times_s) - 1:
            return math.inf  # the amplifier has come to its end before the axis came to its target
        rim_um = target_um + math.copysign(tolerance_um, path.places_um[last] - target_um)
        into = Path(path.times_s[last : last + 2], path.places_um[last : last + 2], path.at)
        return float(into.crossings_s(np.array([rim_um]))[0])
