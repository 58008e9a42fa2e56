"""The one world that every simulated device sees."""

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hardware_sim.camera import Camera, Exposure, Outlook
from hardware_sim.cantilever import Cantilever
from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.electron import ElectronMicroscope
from hardware_sim.faults import Faults, Script
from hardware_sim.focus_drive import FocusDrive
from hardware_sim.frame_protocol import Setup
from hardware_sim.landing import LandingError, RepeatableLanding, WanderingLanding
from hardware_sim.mechanics import Scanner
from hardware_sim.optics import Microscope
from hardware_sim.sensor import Frame
from hardware_sim.settings import WorldSettings
from hardware_sim.specimen import Specimen
from hardware_sim.surface import Surface
from hardware_sim.trigger_lines import TriggerLines

PREVIEW_EXPOSURE_S = 0.02


class World:
    """Specimen, microscope, stages and probe of one seed; safe to use from any thread."""

    def __init__(
        self, settings: WorldSettings, specimen: Specimen, clock: Clock, seed: int, script: Script | None = None
    ) -> None:
        self.settings = settings
        self.specimen = specimen
        self.surface = Surface(specimen, settings.specimen_tilt_mrad)
        self.clock = clock
        self.seed = seed
        self.faults = Faults(clock, seed, script)
        self.triggers = TriggerLines(clock)
        self.microscope = Microscope(specimen, settings.camera, settings.optics, self.surface)
        self.scanner = Scanner(settings.mechanics, self.microscope.pixel_um, clock, seed, self._landing())
        self.electrons = ElectronMicroscope(
            settings.electron,
            specimen,
            self.microscope.pixel_um,
            self.scanner.true_um_at,
            seed,
            keyed=settings.randomness == "keyed",
        )
        self.focus = FocusDrive(clock, settings.focus, seed)
        self.cantilever = Cantilever(
            settings.cantilever, self.surface, self.scanner, clock, seed, raised_um=self._probe_raised_um
        )
        self.focus.on_motion(self.cantilever.follow)
        self.faults.on("stuck_axis", self._stick)
        self.faults.on("drift_burst", lambda device, how: self.scanner.drift_burst(**how))
        self.faults.on("force_runaway", lambda device, how: self.cantilever.run_away(how["nn_per_s"], how["for_s"]))
        self.camera = Camera(
            settings.camera,
            self.scanner,
            self.triggers,
            clock,
            seed,
            keyed=settings.randomness == "keyed",
            camera_to_stage_um=self.microscope.camera_to_stage_um,
            outlook=self.outlook,
            view=self.view,
        )

    def _stick(self, device: str, how: Mapping[str, float]) -> None:
        if device == "focus":
            self.focus.stick(how["for_s"])
        else:
            self.scanner.stick(int(how["axis"]), how["for_s"])

    def _probe_raised_um(self) -> float:
        """How much higher the focus drive holds the probe than where its contact height counts from."""
        if not self.settings.cantilever.rides_on_focus:
            return 0.0
        return (self.focus.position_mm() - self.settings.optics.in_focus_mm) * 1000.0

    def _landing(self) -> LandingError:
        axis_rms_um = self.settings.mechanics.position_error_px_rms * self.microscope.pixel_um / np.sqrt(2)
        if self.settings.randomness == "keyed":
            return RepeatableLanding(axis_rms_um, self.seed)
        return WanderingLanding(axis_rms_um, generator(self.seed, Stream.LANDING))

    def expose(self, exposure_s: float) -> tuple[Frame, Exposure]:
        """Take a picture of the whole frame, which takes `exposure_s` of world time and the reading."""
        (shot,) = self.camera.sequence(Setup(exposure_s=exposure_s), 1, threading.Event())
        return self.camera.develop(shot), shot.exposure

    def preview(self, random: np.random.Generator) -> Frame:
        """Show what the camera sees now, without taking time and without counting as an exposure."""
        return self.camera.preview(PREVIEW_EXPOSURE_S, random)

    def outlook(self, at_s: float) -> Outlook:
        """Tell what the microscope's picture depends on at a time besides the stage, with the drive where it is now."""
        gap_um = self.cantilever.gap_nm(at_s) / 1000.0 if self.microscope.sees_gap else 0.0
        return Outlook(self.focus.position_mm() * 1000.0, gap_um)

    def view(self, stage_um: NDArray[np.float64], outlook: Outlook) -> Image:
        """Render what the camera would see with the stage at (x, y, z): brightness from 0 to 1, without noise."""
        defocus_um = self.microscope.defocus_um(outlook.drive_um, stage_um)
        return self.microscope.render(float(stage_um[0]), float(stage_um[1]), defocus_um, outlook.gap_um)

    def exposures_after(self, number: int) -> list[Exposure]:
        """List the pictures with a higher number, oldest first; only the latest 100000 are kept."""
        return self.camera.exposures_after(number)

    def read_volts(self, aperture_s: float = 0.0) -> float:
        """Read the detector, averaged over `aperture_s` of world time."""
        return self.cantilever.volts(aperture_s)
