"""Thermal drift: the specimen creeps away under the objective, in nanometres a minute."""

import math
import threading
from dataclasses import dataclass

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.landing import NM_PER_UM
from hardware_sim.motion import KEPT_S, Vector
from hardware_sim.settings import MechanicsSettings

PERIODS_S = (97.0, 241.0, 613.0, 1511.0, 3701.0)
"""From the air's to the building's; no two have a common measure, so that nothing repeats."""
STEADY_PART = 0.8
WANDERING_PART = 0.6
"""Of the rate, in the sense of root mean squares: 0.8**2 + 0.6**2 = 1."""
SHORTEST_BURST_S = 0.001


@dataclass(frozen=True)
class Burst:
    """A slip of the specimen (x, y, z) within `over_s`, gentle at both ends."""

    start_s: float
    over_s: float
    slip_um: Vector

    def um_at(self, times_s: Vector) -> Vector:
        """How much of the slip (n, 3) is done at each of `times_s` (n,)."""
        done = np.clip((times_s - self.start_s) / max(self.over_s, SHORTEST_BURST_S), 0.0, 1.0)
        return (done * done * (3.0 - 2.0 * done))[:, None] * self.slip_um


class Drift:
    """A steady rate and one that wanders slowly: a function of seed and time only, apart from bursts."""

    def __init__(self, settings: MechanicsSettings, seed: int) -> None:
        random = generator(seed, Stream.DRIFT)
        angle = random.uniform(0.0, 2 * math.pi)
        sideways = settings.drift_nm_per_min * np.array([math.cos(angle), math.sin(angle)])
        upwards = settings.drift_z_nm_per_min * random.choice([-1.0, 1.0])
        um_per_s_of_nm_per_min = 1.0 / NM_PER_UM / 60.0
        self._steady_um_per_s = STEADY_PART * um_per_s_of_nm_per_min * np.array([*sideways, upwards])
        self._per_s = 2 * math.pi / np.array(PERIODS_S)
        self._phases = random.uniform(0.0, 2 * math.pi, (3, len(PERIODS_S)))
        axis_rms = np.array([settings.drift_nm_per_min / math.sqrt(2)] * 2 + [settings.drift_z_nm_per_min])
        amplitude_um_per_s = WANDERING_PART * um_per_s_of_nm_per_min * axis_rms * math.sqrt(2 / len(PERIODS_S))
        self._swings_um = amplitude_um_per_s[:, None] / self._per_s
        self._at_zero_um = (self._swings_um * np.sin(self._phases)).sum(axis=1)
        self._lock = threading.Lock()
        self._slipped_um = np.zeros(3)  # in bursts that nobody asks about any more
        self._bursts: list[Burst] = []

    def um_at(self, times_s: Vector) -> Vector:
        """How far the specimen has drifted (n, 3) since the world began, at each of `times_s` (n,)."""
        waves = np.sin(self._per_s * times_s[:, None, None] + self._phases)
        drift_um: Vector = self._steady_um_per_s * times_s[:, None] + (self._swings_um * waves).sum(axis=2)
        drift_um -= self._at_zero_um
        with self._lock:
            drift_um += self._slipped_um
            for burst in self._bursts:
                drift_um += burst.um_at(times_s)
        return drift_um

    def burst(self, slip_um: Vector, start_s: float, over_s: float) -> None:
        """Let the specimen slip by (x, y, z) within `over_s`, and stay there."""
        with self._lock:
            while self._bursts and self._bursts[0].start_s + self._bursts[0].over_s < start_s - KEPT_S:
                self._slipped_um = self._slipped_um + self._bursts.pop(0).slip_um
            self._bursts.append(Burst(start_s, over_s, slip_um))
