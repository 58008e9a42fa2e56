"""The way an axis goes by its sensor, past and to come, and when it passes which place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hardware_sim.mechanics import Scanner

Values = NDArray[np.float64]

SAMPLE_S = 50e-6
"""One servo cycle of the E-727: the loop has time constants of milliseconds, so between two samples nothing turns."""
MOST_SAMPLES = 200_000
STANDS_STILL_UM = 1e-9
HALVINGS = 14
"""Of a sampling interval: 3 ns of 50 us."""


@dataclass(frozen=True)
class Path:
    """Places of one axis at increasing times, and the function behind them."""

    times_s: Values
    places_um: Values
    at: Callable[[Values], Values]

    @classmethod
    def between(cls, scanner: Scanner, axis: int, first_s: float, last_s: float) -> Self:
        """Follow an axis from one time to another."""
        count = int(np.clip((last_s - first_s) / SAMPLE_S, 2, MOST_SAMPLES)) + 1
        times_s = np.linspace(first_s, max(first_s, last_s), count)

        def at(moments_s: Values) -> Values:
            return scanner.reported_um_at(axis, moments_s)

        return cls(times_s, at(times_s), at)

    def stretches(self) -> Iterator["Path"]:
        """Take the path apart where it turns; each part goes one way."""
        steps_um = np.diff(self.places_um)
        moving = np.flatnonzero(np.abs(steps_um) > STANDS_STILL_UM)
        turns = moving[1:][np.diff(np.sign(steps_um[moving])) != 0]
        ends = [0, *turns.tolist(), len(self.times_s) - 1]
        for first, last in pairwise(ends):
            yield Path(self.times_s[first : last + 1], self.places_um[first : last + 1], self.at)

    def crossings_s(self, levels_um: Values, leaving: bool = False) -> Values:
        """Find when a path of one direction reaches each level, or leaves it behind; a path's end, if it never does."""
        upwards = 1.0 if self.places_um[-1] >= self.places_um[0] else -1.0
        is_past = np.greater if leaving else np.greater_equal
        climbed_um = np.maximum.accumulate(self.places_um * upwards)
        levels = levels_um * upwards
        later = np.searchsorted(climbed_um, levels, side="right" if leaving else "left")
        later = np.clip(later, 1, len(self.times_s) - 1)
        low_s, high_s = self.times_s[later - 1], self.times_s[later]
        for _ in range(HALVINGS if len(levels) else 0):
            middle_s = (low_s + high_s) / 2
            past = is_past(self.at(middle_s) * upwards, levels)
            low_s, high_s = np.where(past, low_s, middle_s), np.where(past, middle_s, high_s)
        return high_s
