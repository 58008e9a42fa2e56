"""The microscope: one of three kinds of optics, and where it is in focus."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.coherent import CoherentView
from hardware_sim.conventional import AirySpread, FixedSpread, Shape
from hardware_sim.microsphere import MicrosphereView
from hardware_sim.settings import CameraSettings, OpticsSettings
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen
from hardware_sim.surface import Surface
from hardware_sim.turned_camera import TurnedView, View, turn_of

NM_PER_UM = 1000.0


class Microscope:
    """Renders what the camera sees when its centre looks at a point of the specimen.

    Frame coordinate ((rows - 1) / 2, (columns - 1) / 2) sees that point; what lies (x, y) pixels from there in the
    frame lies `camera_to_stage_um` @ (x, y) from it. Outside the specimen everything has its mean grey.
    """

    def __init__(
        self,
        specimen: Specimen,
        settings: CameraSettings,
        optics: OpticsSettings | None = None,
        surface: Surface | None = None,
    ) -> None:
        self.settings = settings
        self.optics = OpticsSettings() if optics is None else optics
        self.pixel_um = self._pixel_um(specimen)
        self._surface = Surface(specimen) if surface is None else surface
        turn = turn_of(settings)
        self.camera_to_stage_um = self.pixel_um * turn
        self._relief_um = _relief_um(specimen, max(settings.frame_shape_px) * self.pixel_um)
        if settings.rotation_deg or settings.shear_deg:
            self._view: View = TurnedView(
                turn, settings.frame_shape_px, lambda shape_px: self._open(specimen, shape_px)
            )
        else:
            self._view = self._open(specimen, settings.frame_shape_px)

    @property
    def sees_gap(self) -> bool:
        """Whether the picture depends on the gap below the probe."""
        return self.optics.kind == "microsphere"

    def render(self, x_um: float, y_um: float, defocus_um: float = 0.0, gap_um: float = 0.0) -> Image:
        """Show reflectance (rows, columns) around (x, y), `gap_um` below the probe; for coherent light, intensity."""
        return self._view.render(x_um, y_um, defocus_um, gap_um)

    def defocus_um(self, drive_um: float, stage_um: NDArray[np.float64]) -> float:
        """Tell how far the plane of sharpness lies above the specimen, stage at (x, y, z).

        The focus drive carries the microscope: upwards is positive, away from the specimen, which the scanner lifts
        by z. Both are refocused by following with the drive. The virtual image of a sphere hangs on the probe, and so
        does not know where the specimen is.
        """
        above_um = drive_um - self.optics.in_focus_mm * 1000.0
        if self.optics.kind == "microsphere":
            return above_um
        x_um, y_um, z_um = (float(value) for value in stage_um)
        return above_um - z_um - self._surface.tilt_um(x_um, y_um) - self._relief_at_um(x_um, y_um)

    def _pixel_um(self, specimen: Specimen) -> float:
        """Find the pixel on the specimen: as the settings say, or what the sphere makes of it, or the specimen's."""
        if self.settings.pixel_nm is not None:
            return self.settings.pixel_nm / NM_PER_UM
        if self.optics.kind == "microsphere":
            return self.optics.camera_pixel_um / (self.optics.magnification * self.optics.microsphere.magnification)
        return specimen.pixel_um

    def _open(self, specimen: Specimen, frame_px: Shape) -> View:
        if self.optics.kind == "microsphere":
            return MicrosphereView(specimen, self.pixel_um, self.optics, frame_px)
        if self.optics.kind == "coherent":
            return CoherentView(specimen, self.pixel_um, self.optics.coherent, frame_px)
        if self.optics.point_spread == "airy":
            return AirySpread(specimen, self.pixel_um, self.optics, frame_px)
        return FixedSpread(specimen, self.pixel_um, self.optics, frame_px, self.settings.psf_fwhm_px)

    def _relief_at_um(self, x_um: float, y_um: float) -> float:
        node_um = self._surface.specimen.pixel_um * HEIGHT_STEP_PX
        rows, columns = self._relief_um.shape
        row, column = min(max(round(y_um / node_um), 0), rows - 1), min(max(round(x_um / node_um), 0), columns - 1)
        return float(self._relief_um[row, column])


def _relief_um(specimen: Specimen, field_um: float) -> Image:
    """Average the height over the field of view, above the specimen's mean: a frame has one focus."""
    height_um = specimen.coarse_height_um
    side_px = max(round(field_um / (specimen.pixel_um * HEIGHT_STEP_PX)), 1)
    averaged = cv2.blur(height_um, (side_px, side_px), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(averaged - height_um.mean(), dtype=np.float32)
