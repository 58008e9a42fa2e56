"""Noise of the position sensors: white from one servo cycle to the next, and a function of seed and time only."""

import numpy as np

from hardware_sim.motion import Vector

SERVO_S = 50e-6
"""E-727, parameter 0x0E000200."""
LENGTHS = (32_768, 21_013)
"""Of two tables laid over each other; without a common divisor, so that the sum repeats after hours."""


class SensorNoise:
    """What three sensors show beside the position."""

    def __init__(self, rms_um: float, random: np.random.Generator) -> None:
        self._tables = [random.normal(0.0, rms_um / np.sqrt(len(LENGTHS)), (length, 3)) for length in LENGTHS]

    def um_at(self, times_s: Vector) -> Vector:
        """Noise (n, 3) at each of `times_s` (n,)."""
        cycles = np.floor(times_s / SERVO_S).astype(np.intp)
        first, second = self._tables
        noise_um: Vector = first[cycles % len(first)] + second[cycles % len(second)]
        return noise_um
