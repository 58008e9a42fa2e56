"""The electron microscope: one column, several speeds of the scan, and what its video shows."""

from hardware_sim.electron_beam import NM_PER_UM, Beam, LineChance, Positions, Screen
from hardware_sim.electron_scan import Scan
from hardware_sim.errors import UsageError
from hardware_sim.settings import ElectronSettings
from hardware_sim.specimen import Specimen

WIDEST_PX = 4096
"""Of a frame, in pixels of the specimen: what is computed at a time."""


class ElectronMicroscope:
    """The screens of one column; safe to use from any thread.

    The beam writes whenever somebody looks; each speed of the scan has a screen, and charges the specimen, as if it
    were the only one. Lines that nobody could have seen are not computed.
    """

    def __init__(
        self, settings: ElectronSettings, specimen: Specimen, camera_um: float, stage: Positions, seed: int, keyed: bool
    ) -> None:
        """Look at a specimen on a stage; `camera_um` is the camera's pixel there.

        Raises:
            UsageError: a pixel or a cycle that cannot be scanned.
        """
        self.pixel_um = _pixel_um(settings, specimen, camera_um)
        self._beams = {
            name: Beam(settings, _scan(settings, name), specimen, self.pixel_um, stage, LineChance(seed, key, keyed))
            for key, name in enumerate(settings.cycles)
        }

    def scan(self, cycle: str) -> Scan:
        """Say how a cycle is scanned."""
        return self._beams[cycle].scan

    def screen(self, cycle: str, time_s: float) -> Screen:
        """Show the screen of a cycle at a world time; what was never scanned is black."""
        return self._beams[cycle].screen(time_s)


def _pixel_um(settings: ElectronSettings, specimen: Specimen, camera_um: float) -> float:
    widest_um = WIDEST_PX * specimen.pixel_um / max(settings.frame_shape_px)
    if settings.pixel_nm is None:
        return min(camera_um, widest_um)
    if settings.pixel_nm > widest_um * NM_PER_UM:
        raise UsageError(f"electron.pixel_nm: {settings.pixel_nm} is above {widest_um * NM_PER_UM:g} for this specimen")
    return settings.pixel_nm / NM_PER_UM


def _scan(settings: ElectronSettings, cycle: str) -> Scan:
    try:
        return Scan.of(settings.frame_shape_px, settings.cycles[cycle])
    except ValueError as error:
        raise UsageError(f"electron.cycles.{cycle}.{error}") from error
