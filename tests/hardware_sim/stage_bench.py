"""A scanner on a clock that the test drives."""

import math

import numpy as np
from numpy.typing import NDArray

from hardware_sim.chance import Stream, generator
from hardware_sim.clock import ManualClock
from hardware_sim.landing import RepeatableLanding, WanderingLanding
from hardware_sim.mechanics import Scanner
from hardware_sim.settings import MechanicsSettings

PIXEL_UM = 0.02
NM_PER_UM = 1000.0
EXACT = MechanicsSettings(
    position_error_px_rms=0.0,
    backlash_px=0.0,
    hysteresis_nm=0.0,
    linearity_error=0.0,
    drift_nm_per_min=0.0,
    drift_z_nm_per_min=0.0,
    sensor_noise_nm=0.0,
    vibration_nm=0.0,
)
"""A stage that is where its sensors say it is."""


def exact_but(**changes: float) -> MechanicsSettings:
    """Give the exact stage some flaws."""
    return EXACT.model_copy(update=changes)


class Bench:
    """A scanner, its clock, and the difference between what it says and what is true."""

    def __init__(self, settings: MechanicsSettings = EXACT, keyed: bool = False, seed: int = 3) -> None:
        axis_rms_um = settings.position_error_px_rms * PIXEL_UM / math.sqrt(2)
        wandering = WanderingLanding(axis_rms_um, generator(seed, Stream.LANDING))
        landing = RepeatableLanding(axis_rms_um, seed) if keyed else wandering
        self.clock = ManualClock()
        self.scanner = Scanner(settings, PIXEL_UM, self.clock, seed, landing)

    def move(self, **targets_um: float) -> None:
        """Send axes by their names and leave them half-way."""
        self.scanner.move({"xyz".index(axis): target_um for axis, target_um in targets_um.items()})

    def go(self, **targets_um: float) -> None:
        """Send axes by their names and let them arrive."""
        self.move(**targets_um)
        self.clock.advance(0.5)

    def reported_um(self) -> list[float]:
        """What the sensors measure now."""
        reported_um: list[float] = self.scanner.reported_um(self.clock.now_s()).tolist()
        return reported_um

    def error_um(self) -> NDArray[np.float64]:
        """What the sensors do not see now (x, y, z)."""
        now_s = self.clock.now_s()
        return self.scanner.true_um(now_s) - self.scanner.reported_um(now_s)

    def error_px(self) -> NDArray[np.float64]:
        """What the sensors do not see now (x, y), in pixels of the camera."""
        return self.error_um()[:2] / PIXEL_UM
