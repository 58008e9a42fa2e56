"""Motion with constant acceleration, stretch by stretch: up to speed, along, down."""

import math
from dataclasses import dataclass
from itertools import pairwise


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


@dataclass(frozen=True)
class Stretch:
    """A time of constant acceleration."""

    duration_s: float
    acceleration_mm_per_s2: float


@dataclass(frozen=True)
class Leg:
    """A way to go: where to, how fast, and how speed is gained and lost."""

    target_mm: float
    speed_mm_per_s: float
    acceleration_mm_per_s2: float
    deceleration_mm_per_s2: float


def braking(state: State, deceleration_mm_per_s2: float) -> list[Stretch]:
    """Come to rest."""
    if state.speed_mm_per_s == 0:
        return []
    rate = -math.copysign(deceleration_mm_per_s2, state.speed_mm_per_s)
    return [Stretch(abs(state.speed_mm_per_s) / deceleration_mm_per_s2, rate)]


def travelling(state: State, leg: Leg) -> list[Stretch]:
    """Go to a target and rest there; a stage that is too fast, or goes the wrong way, brakes first.

    Trapezoid: up to speed, along, down. On a short way the top of the trapezoid is missing.
    """
    way_mm = leg.target_mm - state.position_mm
    direction = math.copysign(1.0, way_mm)
    initial = state.speed_mm_per_s * direction
    up, down = leg.acceleration_mm_per_s2, leg.deceleration_mm_per_s2
    if initial < 0 or initial > leg.speed_mm_per_s or initial**2 / (2 * down) > abs(way_mm):
        first = braking(state, down)
        rest = state.after(first[0].duration_s, first[0].acceleration_mm_per_s2)
        return first + travelling(State(rest.position_mm, 0.0), leg)
    top = min(leg.speed_mm_per_s, math.sqrt((2 * up * down * abs(way_mm) + down * initial**2) / (up + down)))
    ramps_mm = (top**2 - initial**2) / (2 * up) + top**2 / (2 * down)
    cruise_s = max(abs(way_mm) - ramps_mm, 0.0) / top if top else 0.0
    return [
        Stretch(max(top - initial, 0.0) / up, direction * up),
        Stretch(cruise_s, 0.0),
        Stretch(top / down, -direction * down),
    ]


class Path:
    """A motion that began at some world time and ends at rest."""

    def __init__(self, began_s: float, initial: State, stretches: list[Stretch]) -> None:
        self._pieces = [(began_s, initial, 0.0)]  # from when, in which state, under what acceleration
        self.ends_s = began_s
        state = initial
        for stretch in stretches:
            self._pieces.append((self.ends_s, state, stretch.acceleration_mm_per_s2))
            state = state.after(stretch.duration_s, stretch.acceleration_mm_per_s2)
            self.ends_s += stretch.duration_s
        self._pieces.append((self.ends_s, State(round(state.position_mm, 9), 0.0), 0.0))

    @classmethod
    def through(cls, began_s: float, initial: State, legs: list[Leg]) -> "Path":
        """Go one way after the other, resting between them."""
        stretches: list[Stretch] = []
        state = initial
        for leg in legs:
            stretches += travelling(state, leg)
            state = State(leg.target_mm, 0.0)
        return cls(began_s, initial, stretches)

    @property
    def end_mm(self) -> float:
        """Where it comes to rest."""
        return self._pieces[-1][1].position_mm

    def state(self, time_s: float) -> State:
        """Where the stage is at some time after the beginning."""
        since_s, state, acceleration = next(
            (piece for piece in reversed(self._pieces) if piece[0] <= time_s), self._pieces[0]
        )
        return state.after(max(time_s - since_s, 0.0), acceleration)

    def bends_s(self, after_s: float, until_s: float) -> list[float]:
        """List both times and all between them at which the acceleration changes; between two, speed keeps its sign."""
        inside = [since_s for since_s, _, _ in self._pieces if after_s < since_s < until_s]
        return [after_s, *inside, until_s]

    def leaves_s(self, low_mm: float, high_mm: float, after_s: float, until_s: float) -> float | None:
        """Find when it first leaves a range in the time given, None if it does not."""

        def outside(time_s: float) -> bool:
            return not low_mm <= self.state(time_s).position_mm <= high_mm

        for early_s, late_s in pairwise(self.bends_s(after_s, until_s)):
            if not outside(late_s):
                continue
            while early_s < (middle_s := (early_s + late_s) / 2) < late_s:  # until floats lie no closer
                early_s, late_s = (early_s, middle_s) if outside(middle_s) else (middle_s, late_s)
            return late_s
        return None
