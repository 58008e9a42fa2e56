"""Where a move really ends: what the stage misses its target by, unseen by the sensors."""

import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.motion import Vector

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
