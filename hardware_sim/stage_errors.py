"""Errors of the stage that come in while it moves and stay while it stands."""

from dataclasses import dataclass

import numpy as np

from hardware_sim.motion import Motion, Vector


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


def bow(places: Vector) -> Vector:
    """Shape of a loop that is closed at both ends of the travel, at places 0..1 of it: 1 in the middle."""
    inside = np.clip(places, 0.0, 1.0)
    bowed: Vector = 4.0 * inside * (1.0 - inside)
    return bowed
