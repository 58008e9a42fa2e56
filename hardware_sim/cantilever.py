"""The probe above the specimen, and the optical lever that reads its deflection."""

import threading

import numpy as np

from hardware_sim.mechanics import NM_PER_UM, Vector
from hardware_sim.settings import CantileverSettings
from hardware_sim.specimen import Specimen

DETECTOR_LIMIT_V = 10.0


class Cantilever:
    """A spring that touches the specimen when the scanner lifts it high enough."""

    def __init__(self, settings: CantileverSettings, specimen: Specimen, random: np.random.Generator) -> None:
        self.settings = settings
        self._specimen = specimen
        self._random = random
        self._lock = threading.Lock()

    def deflection_nm(self, true_um: Vector) -> float:
        """How far the specimen pushes the probe back; 0 out of contact."""
        x_um, y_um, z_um = true_um
        surface_um = z_um + self._specimen.height_um(x_um, y_um)
        return max(float(surface_um) - self.settings.contact_height_um, 0.0) * NM_PER_UM

    def force_nn(self, true_um: Vector) -> float:
        """Force on the specimen; 1 N/m is 1 nN/nm."""
        return self.settings.stiffness_n_per_m * self.deflection_nm(true_um)

    def volts(self, true_um: Vector) -> float:
        """What the detector puts out; it saturates at +-10 V."""
        with self._lock:
            noise_v = self._random.normal(0.0, 1.0) * self.settings.noise_mv / 1000.0
        volts = self.deflection_nm(true_um) / self.settings.sensitivity_nm_per_v + noise_v
        return min(max(volts, -DETECTOR_LIMIT_V), DETECTOR_LIMIT_V)
