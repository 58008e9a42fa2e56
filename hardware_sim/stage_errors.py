"""Errors of the stage that come in while it moves and stay while it stands."""

from dataclasses import dataclass

import numpy as np

from hardware_sim.motion import Motion, Vector
from hardware_sim.wave import Wave


@dataclass(frozen=True)
class Slide:
    """Values (k,) that go from one to another as a motion progresses."""

    start_s: float
    before: Vector
    after: Vector
    lead: Motion

    def values(self, times_s: Vector) -> Vector:
        """Return the values (n, k) at each of `times_s` (n,)."""
        if times_s.min() >= self.lead.arrives_s:
            return np.repeat(self.after[None], len(times_s), axis=0)
        return self.before + (self.after - self.before) * self.lead.progress(times_s)[:, None]


@dataclass(frozen=True)
class Play:
    """The part of an axis' lost motion that is taken up, 0..1 (1,), along a wave."""

    start_s: float
    step_s: float
    taken_up: Vector
    """At the beginning of each step, and at the end of the last."""

    def values(self, times_s: Vector) -> Vector:
        """Return the values (n, 1) at each of `times_s` (n,)."""
        last = len(self.taken_up) - 1
        steps = np.clip((times_s - self.start_s) / self.step_s, 0.0, last)
        whole = np.minimum(steps.astype(np.intp), last - 1)
        here, next_one = self.taken_up[whole], self.taken_up[whole + 1]
        values: Vector = here + (next_one - here) * (steps - whole)
        return values[:, None]


def play(wave: Wave, lost_um: float, taken_up: float) -> Play:
    """Follow the lost motion along a wave: it is taken up downwards and given back upwards, `lost_um` in all."""
    states = [taken_up]
    for part in (np.diff(wave.corners_um) / lost_um).tolist():
        states.append(min(max(states[-1] - part, 0.0), 1.0))
    return Play(wave.start_s, wave.step_s, np.array(states))


def bow(places: Vector) -> Vector:
    """Shape of a loop that is closed at both ends of the travel, at places 0..1 of it: 1 in the middle."""
    inside = np.clip(places, 0.0, 1.0)
    bowed: Vector = 4.0 * inside * (1.0 - inside)
    return bowed
