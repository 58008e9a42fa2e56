"""The one world that every simulated device sees."""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from hardware_sim.cantilever import Cantilever
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.faults import Faults, Script
from hardware_sim.focus_drive import FocusDrive
from hardware_sim.mechanics import LandingError, RepeatableLanding, Scanner, WanderingLanding, whole_nm
from hardware_sim.optics import Frame, Microscope
from hardware_sim.settings import WorldSettings
from hardware_sim.specimen import Specimen
from hardware_sim.trigger_lines import TriggerLines

EXPOSURES_KEPT = 100_000
PREVIEW_EXPOSURE_S = 0.02


@dataclass(frozen=True)
class Exposure:
    """One picture: when it was taken, and where the stage really was half-way through."""

    number: int
    start_s: float
    end_s: float
    x_um: float
    y_um: float
    z_um: float


class World:
    """Specimen, microscope, stages and probe of one seed; safe to use from any thread."""

    def __init__(
        self, settings: WorldSettings, specimen: Specimen, clock: Clock, seed: int, script: Script | None = None
    ) -> None:
        self.settings = settings
        self.specimen = specimen
        self.clock = clock
        self.seed = seed
        self.faults = Faults(clock, seed, script)
        self.triggers = TriggerLines(clock)
        self.microscope = Microscope(specimen, settings.camera)
        self.scanner = Scanner(settings.mechanics, self.microscope.pixel_um, clock, seed, self._landing())
        self.focus = FocusDrive(clock)
        self.cantilever = Cantilever(settings.cantilever, specimen, generator(seed, Stream.DEFLECTION))
        self._image_stream = generator(seed, Stream.IMAGE)
        self._shutter = threading.Lock()  # one camera, one exposure at a time
        self._exposures: deque[Exposure] = deque(maxlen=EXPOSURES_KEPT)
        self._count = 0

    def _landing(self) -> LandingError:
        axis_rms_um = self.settings.mechanics.position_error_px_rms * self.microscope.pixel_um / np.sqrt(2)
        if self.settings.randomness == "keyed":
            return RepeatableLanding(axis_rms_um, self.seed)
        return WanderingLanding(axis_rms_um, generator(self.seed, Stream.LANDING))

    def expose(self, exposure_s: float) -> tuple[Frame, Exposure]:
        """Take a picture, which takes `exposure_s` of world time."""
        with self._shutter:
            start_s = self.clock.now_s()
            middle_s, end_s = start_s + exposure_s / 2, start_s + exposure_s
            self.clock.sleep_until_s(middle_s)
            x_um, y_um, z_um = (float(value) for value in self.scanner.true_um(middle_s))
            random = self._image_random(exposure_s)
            frame = self.microscope.detect(self.microscope.image(x_um, y_um), exposure_s, random)
            self.clock.sleep_until_s(end_s)
            self._count += 1
            exposure = Exposure(self._count, start_s, end_s, x_um, y_um, z_um)
            self._exposures.append(exposure)
            return frame, exposure

    def _image_random(self, exposure_s: float) -> np.random.Generator:
        """Choose where image noise comes from; a keyed world knows only x, y and exposure, not the probe's height."""
        if self.settings.randomness == "stream":
            return self._image_stream
        return generator(self.seed, Stream.IMAGE, [*whole_nm(self.scanner.target_um()[:2]), round(exposure_s * 1e6)])

    def preview(self, random: np.random.Generator) -> Frame:
        """Show what the camera sees now, without taking time and without counting as an exposure."""
        x_um, y_um, _ = self.scanner.true_um(self.clock.now_s())
        return self.microscope.detect(self.microscope.image(x_um, y_um), PREVIEW_EXPOSURE_S, random)

    def exposures_after(self, number: int) -> list[Exposure]:
        """List the pictures with a higher number, oldest first; only the latest 100000 are kept."""
        with self._shutter:
            latest_first = takewhile(lambda exposure: exposure.number > number, reversed(self._exposures))
            return list(latest_first)[::-1]

    def deflection_v(self) -> float:
        """Read the detector now."""
        return self.cantilever.volts(self.scanner.true_um(self.clock.now_s()))
