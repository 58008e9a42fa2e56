"""How a loop of first order with a limited speed follows a target that goes straight: in closed form.

The loop moves its axis at error / time constant, and no faster than it slews. Behind a target at a constant rate, the
error tends to rate x time constant; beyond slew rate x time constant, it changes at a constant rate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from hardware_sim.motion import Vector
from hardware_sim.wave_course import ROUNDING


@dataclass(frozen=True, eq=False)
class Legs:
    """The error, target minus position, in pieces (n,) of time that each follow one law."""

    starts_s: Vector
    errors_um: Vector
    """At the beginning of each."""
    rates_um_per_s: Vector
    """Of the target."""
    slews_um_per_s: Vector
    """Of the axis where it slews; 0 where it does not."""
    constant_s: float
    ends_s: float

    def at(self, times_s: Vector) -> NDArray[np.intp]:
        """Number the legs that hold at `times_s`."""
        return np.maximum(np.searchsorted(self.starts_s, times_s, side="right") - 1, 0)

    def error_um(self, legs: NDArray[np.intp], since_s: Vector) -> Vector:
        """Error so long after the beginning of each of `legs`."""
        start_um, rates, slews = self.errors_um[legs], self.rates_um_per_s[legs], self.slews_um_per_s[legs]
        late_um = rates * self.constant_s
        closing_um = late_um + (start_um - late_um) * np.exp(-since_s / self.constant_s)
        return np.where(slews != 0, start_um + (rates - slews) * since_s, closing_um)

    def way_um(self, legs: NDArray[np.intp], since_s: Vector) -> Vector:
        """How far the axis has come since the beginning of each of `legs`."""
        way_um: Vector = self.rates_um_per_s[legs] * since_s + self.errors_um[legs] - self.error_um(legs, since_s)
        return way_um

    def lengths_s(self) -> Vector:
        """How long each lasts."""
        return np.diff(self.starts_s, append=self.ends_s)

    def turns_s(self) -> Vector:
        """How long after the beginning of each the axis turns; the length of those in which it does not."""
        late_um = self.rates_um_per_s * self.constant_s
        turning = (self.slews_um_per_s == 0) & (self.errors_um * late_um < 0)
        ratio = np.divide(self.errors_um, late_um, out=np.zeros(len(late_um)), where=turning)
        turns_s = np.where(turning, self.constant_s * np.log1p(-ratio), np.inf)
        return np.minimum(turns_s, self.lengths_s())


@dataclass(frozen=True)
class Loop:
    """A loop by its speed limit and its time constant."""

    slew_um_per_s: float
    constant_s: float

    @property
    def knee_um(self) -> float:
        """Error beyond which it slews."""
        return self.slew_um_per_s * self.constant_s

    def follow(
        self, error_um: float, rates_um_per_s: Vector, jumps_um: Vector, step_s: float, begins_s: float
    ) -> tuple[Legs, float]:
        """Follow pieces of `step_s`, from `begins_s` after the beginning of the first; returns the error after all."""
        if begins_s == 0:
            decay = math.exp(-step_s / self.constant_s)
            gains_um = rates_um_per_s * self.constant_s * (1.0 - decay) + jumps_um
            all_um: Vector = signal.lfilter([1.0], [1.0, -decay], np.concatenate([[error_um], gains_um]))
            errors_um, count = all_um[:-1], len(rates_um_per_s)
            if np.abs(errors_um).max() <= self.knee_um and np.abs(rates_um_per_s).max() <= self.slew_um_per_s:
                starts_s = step_s * np.arange(count, dtype=np.float64)
                legs = Legs(starts_s, errors_um, rates_um_per_s, np.zeros(count), self.constant_s, count * step_s)
                return legs, float(all_um[-1])
        return self._one_by_one(error_um, rates_um_per_s.tolist(), jumps_um.tolist(), step_s, begins_s)

    def _one_by_one(
        self, error_um: float, rates: list[float], jumps_um: list[float], step_s: float, begins_s: float
    ) -> tuple[Legs, float]:
        rows = []
        for piece in range(int(begins_s / step_s + ROUNDING), len(rates)):
            at_s, rate = max(piece * step_s, begins_s), rates[piece]
            ends_s = (piece + 1) * step_s
            while True:
                slew, lasts_s = self._law(error_um, rate)
                rows.append((at_s, error_um, rate, slew))
                if lasts_s >= ends_s - at_s:
                    break
                at_s += lasts_s
                error_um = math.copysign(self.knee_um, slew or rate)
            error_um = self._after(error_um, rate, slew, ends_s - at_s) + jumps_um[piece]
        starts_s, errors_um, leg_rates, slews = np.array(rows, dtype=np.float64).T
        return Legs(starts_s, errors_um, leg_rates, slews, self.constant_s, len(rates) * step_s), error_um

    def _law(self, error_um: float, rate: float) -> tuple[float, float]:
        """Say how fast the axis slews, if it does, and for how long that holds."""
        away = math.copysign(rate, rate * error_um) if error_um else 0.0  # the target's rate, seen along the error
        excess_um = abs(error_um) - self.knee_um
        if excess_um > 0 or (excess_um == 0 and away > self.slew_um_per_s):
            gains = self.slew_um_per_s - away
            return math.copysign(self.slew_um_per_s, error_um), excess_um / gains if gains > 0 else math.inf
        late_um = abs(rate) * self.constant_s
        if late_um <= self.knee_um:
            return 0.0, math.inf
        ahead_um = math.copysign(error_um, rate * error_um)
        return 0.0, self.constant_s * math.log((late_um - ahead_um) / (late_um - self.knee_um))

    def _after(self, error_um: float, rate: float, slew: float, since_s: float) -> float:
        if slew:
            return error_um + (rate - slew) * since_s
        late_um = rate * self.constant_s
        return late_um + (error_um - late_um) * math.exp(-since_s / self.constant_s)
