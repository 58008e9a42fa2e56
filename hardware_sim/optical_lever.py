"""The laser beam on the cantilever and the detector that sees it move."""

import math

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.settings import CantileverSettings

DETECTOR_LIMIT_V = 10.0
BANDWIDTH_HZ = 10_000.0
"""Of the detector; an average over n of its time constants has 1/sqrt(n) of the noise."""
BOLTZMANN_J_PER_K, ROOM_K = 1.380649e-23, 293.0
NM_PER_M = 1e9
DRIFT_PERIODS_S = (420.0, 1_500.0, 5_700.0)
"""The beam wanders with the room: minutes to hours."""


def thermal_nm(stiffness_n_per_m: float) -> float:
    """Rms deflection of a spring in a warm room, by equipartition: sqrt(kB T / k)."""
    return math.sqrt(BOLTZMANN_J_PER_K * ROOM_K / stiffness_n_per_m) * NM_PER_M


class OpticalLever:
    """Turns deflection into volts: sensitivity, drift, noise, and the ends of the detector."""

    def __init__(self, settings: CantileverSettings, seed: int) -> None:
        self._settings = settings
        self._noise = generator(seed, Stream.DEFLECTION)
        thermal_v = thermal_nm(settings.stiffness_n_per_m) / settings.sensitivity_nm_per_v if settings.noise_mv else 0.0
        self._noise_v = math.hypot(settings.noise_mv / 1000.0, thermal_v)
        random = generator(seed, Stream.LASER_DRIFT)
        self._phases = random.uniform(0.0, 2 * math.pi, len(DRIFT_PERIODS_S))

    def volts(self, deflection_nm: float, time_s: float, aperture_s: float) -> float:
        """Read the detector, averaged over `aperture_s`; it saturates at +-10 V."""
        averaged = max(aperture_s * BANDWIDTH_HZ, 1.0)
        noise_v = self._noise.normal(0.0, 1.0) * self._noise_v / math.sqrt(averaged)
        volts = deflection_nm / self._settings.sensitivity_nm_per_v + self.drift_v(time_s) + noise_v
        return min(max(volts, -DETECTOR_LIMIT_V), DETECTOR_LIMIT_V)

    def drift_v(self, time_s: float) -> float:
        """How far the beam has wandered since the world began: sines that share the rms rate of the settings."""
        rate_v_per_s = self._settings.laser_drift_mv_per_min / 1000.0 / 60.0
        share = rate_v_per_s * math.sqrt(2 / len(DRIFT_PERIODS_S))
        omegas = 2 * math.pi / np.array(DRIFT_PERIODS_S)
        swings = (np.sin(omegas * time_s + self._phases) - np.sin(self._phases)) / omegas
        return float(share * swings.sum())
