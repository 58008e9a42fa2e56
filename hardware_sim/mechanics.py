"""The scanner: where its sensors say it is, and where it really is."""

import math
import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardware_sim.approach import Approach
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.settings import MechanicsSettings

Vector = NDArray[np.float64]

TRAVEL_UM = ((0.0, 100.0), (0.0, 100.0), (0.0, 10.0))
"""P-733.3: x, y, z."""
NM_PER_UM = 1000.0


class LandingError(Protocol):
    """What a finished move misses its target by, unseen by the sensors."""

    def next_um(self, target_um: Vector, previous_ended: bool) -> Vector:
        """Draw the (x, y) error of a move to `target_um` (x, y)."""
        ...


class WanderingLanding:
    """Errors of successive moves are anti-correlated: e_k = (w_k - w_(k-1)) / sqrt(2).

    They stem from a loop that is closed: their sum stays bounded, and their mean falls with the number of moves.
    """

    def __init__(self, axis_rms_um: float, random: np.random.Generator) -> None:
        self._axis_rms_um = axis_rms_um
        self._random = random
        self._before = self._draw()
        self._latest = self._before

    def next_um(self, target_um: Vector, previous_ended: bool) -> Vector:
        """Draw the error of the next move; a move that was cut short leaves no trace in the series."""
        if previous_ended:
            self._before = self._latest
        self._latest = self._draw()
        return (self._latest - self._before) / math.sqrt(2)

    def _draw(self) -> Vector:
        return self._random.normal(0.0, self._axis_rms_um, 2)


class RepeatableLanding:
    """The error is a function of seed and target only."""

    def __init__(self, axis_rms_um: float, seed: int) -> None:
        self._axis_rms_um = axis_rms_um
        self._seed = seed

    def next_um(self, target_um: Vector, previous_ended: bool) -> Vector:
        """Look up the error that belongs to `target_um`."""
        return generator(self._seed, Stream.LANDING, whole_nm(target_um)).normal(0.0, self._axis_rms_um, 2)


def whole_nm(position_um: Iterable[float]) -> list[int]:
    """Name a position inside the travel by whole numbers."""
    return [max(round(value * NM_PER_UM), 0) for value in position_um]


class Scanner:
    """Three closed-loop axes; safe to ask from any thread.

    True position = reported position + landing error + backlash + drift. The first two are ramped in while the
    stage moves. Backlash of an axis is 0 when its last move went upwards, and the whole lost motion when it went
    downwards.
    """

    def __init__(
        self, settings: MechanicsSettings, pixel_um: float, clock: Clock, seed: int, landing: LandingError
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._landing = landing
        self._lock = threading.Lock()
        self._sensor = generator(seed, Stream.SENSOR)
        self._backlash_um = settings.backlash_px * pixel_um
        angle = generator(seed, Stream.DRIFT).uniform(0.0, 2 * math.pi)
        speed_um_per_s = settings.drift_nm_per_min / NM_PER_UM / 60.0
        self._drift_um_per_s: Vector = speed_um_per_s * np.array([math.cos(angle), math.sin(angle)])
        self._slew_um_per_s = [settings.slew_um_per_s] * 3
        self._axes = [self._approach(axis, 0.0, 0.0, 0.0) for axis in range(3)]
        self._leading = self._axes[0]  # the axis whose progress ramps the errors in
        self._downwards = np.zeros(2, dtype=bool)
        self._error_from_um: Vector = np.zeros(2)
        self._error_to_um: Vector = np.zeros(2)

    def _approach(self, axis: int, time_s: float, start_um: float, target_um: float) -> Approach:
        settings = self.settings
        constant_s = settings.time_constant_z_s if axis == 2 else settings.time_constant_xy_s
        tolerance_um = settings.tolerance_nm / NM_PER_UM
        return Approach(time_s, start_um, target_um, self._slew_um_per_s[axis], constant_s, tolerance_um)

    def move(self, targets_um: Mapping[int, float]) -> None:
        """Head for new targets, by axis number 0..2, from wherever the stage is now."""
        with self._lock:
            now_s = self._clock.now_s()
            here_um = self._reported_um(now_s)
            previous_ended = now_s >= self._leading.arrives_s
            error_um = self._error_um(now_s)
            for axis, target_um in targets_um.items():
                self._axes[axis] = self._approach(axis, now_s, float(here_um[axis]), target_um)
            lateral = [axis for axis in targets_um if axis < 2 and self._axes[axis].distance_um > 0]
            if not lateral:
                return
            for axis in lateral:
                self._downwards[axis] = self._axes[axis].target_um < here_um[axis]
            self._leading = max((self._axes[axis] for axis in lateral), key=lambda approach: approach.arrives_s)
            target_um_xy = np.array([approach.target_um for approach in self._axes[:2]])
            self._error_from_um = error_um
            self._error_to_um = self._landing.next_um(target_um_xy, previous_ended) + (
                self._backlash_um * self._downwards
            )

    def stop(self, axes: Iterable[int] = range(3)) -> None:
        """Halt where the axes are; they then hold that position."""
        with self._lock:
            now_s = self._clock.now_s()
            here_um = self._reported_um(now_s)
            error_um = self._error_um(now_s)
            for axis in axes:
                if now_s < self._axes[axis].arrives_s:
                    here = float(here_um[axis])
                    cut_short, self._axes[axis] = self._axes[axis], self._approach(axis, now_s, here, here)
                    if cut_short is self._leading:
                        self._leading = self._axes[axis]
                        self._error_from_um = self._error_to_um = error_um

    def set_slew(self, axis: int, slew_um_per_s: float) -> None:
        """Set the speed of the moves to come."""
        self._slew_um_per_s[axis] = slew_um_per_s

    def slew_um_per_s(self, axis: int) -> float:
        """Speed limit of one axis."""
        return self._slew_um_per_s[axis]

    def target_um(self) -> list[float]:
        """Where the axes were sent."""
        with self._lock:
            return [axis.target_um for axis in self._axes]

    def is_moving(self, axis: int) -> bool:
        """Whether an axis has not arrived yet."""
        return self._clock.now_s() < self._axes[axis].arrives_s

    def is_on_target(self, axis: int) -> bool:
        """Whether an axis has been inside its tolerance for the settling time."""
        return self._clock.now_s() >= self._axes[axis].on_target_s(self.settings.settle_s)

    def reported_um(self, time_s: float) -> Vector:
        """What the sensors measure (x, y, z), without their noise."""
        with self._lock:
            return self._reported_um(time_s)

    def sensed_um(self) -> Vector:
        """What the sensors show now (x, y, z), with their noise."""
        with self._lock:
            noise_um = self._sensor.normal(0.0, 1.0, 3) * self.settings.sensor_noise_nm / NM_PER_UM
            return self._reported_um(self._clock.now_s()) + noise_um

    def true_um(self, time_s: float) -> Vector:
        """Where the stage really is (x, y, z): the centre of the camera frame sees this point of the specimen."""
        with self._lock:
            true_um = self._reported_um(time_s)
            true_um[:2] += self._error_um(time_s) + self.drift_um(time_s)
            return true_um

    def drift_um(self, time_s: float) -> Vector:
        """How far the specimen has drifted (x, y) since the world began."""
        return self._drift_um_per_s * time_s

    def _reported_um(self, time_s: float) -> Vector:
        return np.array([axis.position_um(time_s) for axis in self._axes])

    def _error_um(self, time_s: float) -> Vector:
        return self._error_from_um + (self._error_to_um - self._error_from_um) * self._leading.progress(time_s)
