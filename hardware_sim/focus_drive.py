"""The vertical stage: a motor that ramps its speed up and down."""

import math
import threading
from dataclasses import dataclass
from itertools import accumulate

from hardware_sim.clock import Clock

TRAVEL_MM = (0.0, 100.0)
MAX_SPEED_MM_PER_S = 20.0
MAX_ACCELERATION_MM_PER_S2 = 80.0
EMERGENCY_DECELERATION_MM_PER_S2 = 400.0


@dataclass(frozen=True)
class Stretch:
    """A time of constant acceleration."""

    duration_s: float
    acceleration_mm_per_s2: float


@dataclass(frozen=True)
class State:
    """Where a stage is and how fast it goes."""

    position_mm: float
    speed_mm_per_s: float

    def after(self, duration_s: float, acceleration_mm_per_s2: float) -> "State":
        """Let time pass under constant acceleration."""
        gained = acceleration_mm_per_s2 * duration_s
        way_mm = (self.speed_mm_per_s + gained / 2) * duration_s
        return State(self.position_mm + way_mm, self.speed_mm_per_s + gained)


def braking(state: State, deceleration_mm_per_s2: float) -> list[Stretch]:
    """Come to rest."""
    if state.speed_mm_per_s == 0:
        return []
    rate = -math.copysign(deceleration_mm_per_s2, state.speed_mm_per_s)
    return [Stretch(abs(state.speed_mm_per_s) / deceleration_mm_per_s2, rate)]


def travelling(state: State, target_mm: float, speed: float, acceleration: float) -> list[Stretch]:
    """Go to a target and rest there; a stage that is too fast, or goes the wrong way, brakes first.

    Trapezoid: up to speed, along, down. On a short way the top of the trapezoid is missing.
    """
    way_mm = target_mm - state.position_mm
    direction = math.copysign(1.0, way_mm)
    initial = state.speed_mm_per_s * direction
    if initial < 0 or initial > speed or initial**2 / (2 * acceleration) > abs(way_mm):
        first = braking(state, acceleration)
        rest = state.after(first[0].duration_s, first[0].acceleration_mm_per_s2)
        return first + travelling(State(rest.position_mm, 0.0), target_mm, speed, acceleration)
    top = min(speed, math.sqrt(acceleration * abs(way_mm) + initial**2 / 2))
    ramps_mm = (2 * top**2 - initial**2) / (2 * acceleration)
    cruise_s = max(abs(way_mm) - ramps_mm, 0.0) / top if top else 0.0
    return [
        Stretch((top - initial) / acceleration, direction * acceleration),
        Stretch(cruise_s, 0.0),
        Stretch(top / acceleration, -direction * acceleration),
    ]


class FocusDrive:
    """One motor axis; safe to ask from any thread. Positions count from the home switch at the lower end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s = 0.0
        self._initial = State(0.0, 0.0)
        self._stretches: list[Stretch] = []
        self.target_mm = 0.0

    def move(self, target_mm: float, speed_mm_per_s: float, acceleration_mm_per_s2: float) -> None:
        """Head for a target from wherever the stage is now."""
        with self._lock:
            now = self._restart()
            self._stretches = travelling(now, target_mm, speed_mm_per_s, acceleration_mm_per_s2)
            self.target_mm = target_mm

    def stop(self, deceleration_mm_per_s2: float) -> None:
        """Slow down to rest; wherever that is becomes the target."""
        with self._lock:
            now = self._restart()
            self._stretches = braking(now, deceleration_mm_per_s2)
            self.target_mm = self._state(math.inf).position_mm

    def position_mm(self) -> float:
        """Where the stage is."""
        with self._lock:
            return self._state(self._clock.now_s()).position_mm

    def is_moving(self) -> bool:
        """Whether it has not come to rest yet."""
        with self._lock:
            return self._clock.now_s() < self._began_s + sum(stretch.duration_s for stretch in self._stretches)

    def _restart(self) -> State:
        now_s = self._clock.now_s()
        self._initial, self._began_s = self._state(now_s), now_s
        self._stretches = []
        return self._initial

    def _state(self, time_s: float) -> State:
        state = self._initial
        ends_s = list(accumulate((stretch.duration_s for stretch in self._stretches), initial=self._began_s))
        for stretch, start_s in zip(self._stretches, ends_s, strict=False):
            passed_s = min(max(time_s - start_s, 0.0), stretch.duration_s)
            state = state.after(passed_s, stretch.acceleration_mm_per_s2)
        return state if not self._stretches or time_s < ends_s[-1] else State(round(state.position_mm, 9), 0.0)
