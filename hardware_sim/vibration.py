"""Noise that a stage moves by: a function of seed and time, so that asking never changes it."""

import math

import numpy as np

from hardware_sim.landing import NM_PER_UM
from hardware_sim.motion import Vector
from hardware_sim.settings import MechanicsSettings

LENGTHS = (32_768, 21_013)
"""Of two tables laid over each other; without a common divisor, so that the sum repeats after days."""
STEPS_PER_CORRELATION = 8
AXES = np.arange(3)


class Vibration:
    """Gaussian noise of three axes with the bandwidth of their loops: it correlates as exp(-lag / time constant)."""

    def __init__(self, settings: MechanicsSettings, random: np.random.Generator) -> None:
        constants_s = [settings.time_constant_xy_s, settings.time_constant_xy_s, settings.time_constant_z_s]
        self._steps_s = np.array(constants_s) / STEPS_PER_CORRELATION
        neighbours = math.exp(-1.0 / STEPS_PER_CORRELATION)
        between = math.sqrt((2.0 + neighbours) / 3.0)  # linear interpolation between two values lowers the rms to this
        scale_um = settings.vibration_nm / NM_PER_UM / between / math.sqrt(len(LENGTHS))
        self._tables = [scale_um * coloured(random.normal(size=(length, 3)), neighbours) for length in LENGTHS]

    def um_at(self, times_s: Vector) -> Vector:
        """Displacement (n, 3) at each of `times_s` (n,)."""
        place = times_s[:, None] / self._steps_s
        whole = np.floor(place)
        part = place - whole
        index = whole.astype(np.intp)
        total_um = np.zeros((len(times_s), 3))
        for table in self._tables:
            here, next_one = index % len(table), (index + 1) % len(table)
            total_um += table[here, AXES] * (1.0 - part) + table[next_one, AXES] * part
        return total_um


def coloured(white: Vector, neighbours: float) -> Vector:
    """Turn white noise (n, k) of variance 1 into a ring whose values correlate by `neighbours` ** distance."""
    length = len(white)
    distance = np.minimum(np.arange(length), length - np.arange(length))
    spectrum = np.maximum(np.fft.rfft(neighbours**distance).real, 0.0)
    return np.fft.irfft(np.fft.rfft(white, axis=0) * np.sqrt(spectrum)[:, None], n=length, axis=0)
