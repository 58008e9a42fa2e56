"""A piezo whose loop is open: hysteresis, ringing and creep.

A stack remembers how it was driven (Prandtl-Ishlinskii: a sum of play operators), rings at the resonance of the stage,
and goes on by a logarithm of time after each step (PI, "Piezoelectrics in positioning": creep of 1 to 2 % a decade).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hardware_sim.motion import Vector

PLAY_PARTS = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Half dead bands of the play operators, in parts of the travel."""
PLAY_WEIGHT = 0.1
"""Of each operator beside a rigid part of 1: a loop of 12 % of its stroke over the whole travel (10 to 15 %)."""
CREEP_FROM_S = 0.1
CREEP_PER_DECADE = 0.015
DAMPING = 0.03
"""Of the resonance; 0.02 to 0.05."""
RINGS_FOR = 5.0
"""Decay times after which the ringing is below a hundredth."""


class Hysteresis:
    """How far a stack stretches when it is driven nominally so far; 0 at rest, the travel at the travel."""

    def __init__(self, travel_um: float) -> None:
        self._half_bands_um = travel_um * np.array(PLAY_PARTS)
        self._played_um = np.zeros(len(PLAY_PARTS))
        self._gain = travel_um / (travel_um + PLAY_WEIGHT * (travel_um - self._half_bands_um).sum())

    def drive(self, nominal_um: float) -> float:
        """Drive the stack monotonically to `nominal_um`; returns how far it stretches then."""
        low_um, high_um = nominal_um - self._half_bands_um, nominal_um + self._half_bands_um
        self._played_um = np.minimum(np.maximum(self._played_um, low_um), high_um)
        return float(self._gain * (nominal_um + PLAY_WEIGHT * self._played_um.sum()))


@dataclass(frozen=True)
class Creep:
    """What a step of `step_um` at `start_s` goes on by."""

    start_s: float
    step_um: float

    def um_at(self, times_s: Vector) -> Vector:
        """How far it has crept at each of `times_s`."""
        decades = np.log10(np.maximum((times_s - self.start_s) / CREEP_FROM_S, 1.0))
        return CREEP_PER_DECADE * self.step_um * decades


@dataclass(frozen=True)
class OpenLoop:
    """An axis at a constant voltage since `start_s`: it rings into its place and creeps on for ever."""

    start_s: float
    from_um: float
    """Without what had crept until then, like `to_um`."""
    to_um: float
    resonance_hz: float
    creeps: tuple[Creep, ...] = ()

    @property
    def _decay_per_s(self) -> float:
        return DAMPING * 2 * math.pi * self.resonance_hz

    @property
    def target_um(self) -> float:
        """Where it leads, creep aside."""
        return self.to_um

    @property
    def arrives_s(self) -> float:
        """World time from which the ringing is over."""
        return self.start_s + (RINGS_FOR / self._decay_per_s if self.to_um != self.from_um else 0.0)

    def on_target_s(self, settle_s: float) -> float:
        """Never: a controller whose loop is open knows of no target."""
        return math.inf

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        left = 1.0 - self.progress(times_s)
        return self.to_um - (self.to_um - self.from_um) * left + crept_um(self.creeps, times_s)

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        return np.full(len(times_s), self.to_um)

    def progress(self, times_s: Vector) -> Vector:
        """The part of the way that lies behind; more than 1 while it overshoots."""
        elapsed_s = np.maximum(times_s - self.start_s, 0.0)
        undamped_per_s = 2 * math.pi * self.resonance_hz
        rings_per_s = undamped_per_s * math.sqrt(1.0 - DAMPING**2)
        swing = np.cos(rings_per_s * elapsed_s) + self._decay_per_s / rings_per_s * np.sin(rings_per_s * elapsed_s)
        progress: Vector = 1.0 - np.exp(-self._decay_per_s * elapsed_s) * swing
        return progress

    def resumed(self, time_s: float, position_um: float) -> "OpenLoop":
        """What is left to do for an axis that stands elsewhere at a later time."""
        crept = float(crept_um(self.creeps, np.array([time_s]))[0])
        return replace(self, start_s=time_s, from_um=position_um - crept)


def crept_um(creeps: Iterable[Creep], times_s: Vector) -> Vector:
    """Add up what several steps have crept at each of `times_s`."""
    total_um = np.zeros(len(times_s))
    for creep in creeps:
        total_um += creep.um_at(times_s)
    return total_um
