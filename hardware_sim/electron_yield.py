"""How many electrons come back from each point of the specimen: material, slope, rims, and the width of the probe."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen

MARGIN_PX = 256
"""Around what is looked at, so that a stage that moves does not need a new patch at once."""
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Contrast:
    """What one kind of electrons shows; yields are relative to that of the detector's white."""

    dark: float
    """Flat material of reflectance 0."""
    bright: float
    """Flat material of reflectance 1."""
    slope_power: float
    """Yield of a slope: sec(angle) to this power."""
    most_by_slope: float
    """At grazing incidence the yield saturates: the electrons' depth ends at the escape depth."""
    rim: float
    """Largest gain at a convex edge, and loss in a concave one, where the walls catch what leaves."""


CONTRASTS = {
    # sec^n with n = 0.8 to 1.3 for metals to light elements, Reimer, Scanning Electron Microscopy (1998), 4.2
    "secondary": Contrast(dark=0.15, bright=0.7, slope_power=1.0, most_by_slope=2.5, rim=0.35),
    # mostly the atomic number; slopes count little for a detector that looks down on the specimen
    "backscatter": Contrast(dark=0.1, bright=0.9, slope_power=0.25, most_by_slope=1.3, rim=0.05),
}


def yields(reflectance: Image, height_um: Image, pixel_um: float, contrast: Contrast, escape_um: float) -> Image:
    """Turn a material map and a height map of the same shape (rows, columns) into relative yields."""
    material = contrast.dark + (contrast.bright - contrast.dark) * reflectance
    down = cv2.Sobel(height_um, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * pixel_um))
    across = cv2.Sobel(height_um, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * pixel_um))
    secant = np.sqrt(1 + np.square(down) + np.square(across))
    slope = np.minimum(secant**contrast.slope_power, contrast.most_by_slope)
    around_um = cv2.GaussianBlur(height_um, (0, 0), escape_um / pixel_um)
    rim = 1 + contrast.rim * np.tanh((height_um - around_um) / escape_um)
    return np.asarray(material * slope * rim, dtype=np.float32)


class YieldMap:
    """Yields of a specimen under a probe of some width, computed where somebody looks.

    Outside the specimen its mean material lies at the height of its edge.
    """

    def __init__(self, specimen: Specimen, contrast: Contrast, escape_um: float, probe_fwhm_um: float) -> None:
        self._specimen = specimen
        self._contrast = contrast
        self._escape_um = escape_um
        self._sigma_px = probe_fwhm_um / FWHM_PER_SIGMA / specimen.pixel_um
        self._mean = float(specimen.reflectance[::HEIGHT_STEP_PX, ::HEIGHT_STEP_PX].mean())
        self._left, self._top = 0, 0
        self._patch: Image = np.empty((0, 0), dtype=np.float32)

    def sample(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> Image:
        """Interpolate (cubic) at points given in pixels of the specimen, both (rows, columns)."""
        self._look_at(*(int(np.floor(v)) for v in (x_px.min(), x_px.max(), y_px.min(), y_px.max())))
        x, y = (x_px - self._left).astype(np.float32), (y_px - self._top).astype(np.float32)
        return np.asarray(cv2.remap(self._patch, x, y, cv2.INTER_CUBIC), dtype=np.float32)

    def _look_at(self, left: int, right: int, top: int, bottom: int) -> None:
        """See to it that the patch holds these pixels and the neighbours that interpolation needs."""
        rows, columns = self._patch.shape
        inside_x = self._left < left and right + 3 < self._left + columns
        inside_y = self._top < top and bottom + 3 < self._top + rows
        if inside_x and inside_y:
            return
        self._left, self._top = left - MARGIN_PX, top - MARGIN_PX
        size = (right - left + 2 * MARGIN_PX, bottom - top + 2 * MARGIN_PX)
        material, height_um = self._material(*size), self._height_um(*size)
        self._patch = yields(material, height_um, self._specimen.pixel_um, self._contrast, self._escape_um)
        if self._sigma_px > 0:
            self._patch = np.asarray(cv2.GaussianBlur(self._patch, (0, 0), self._sigma_px), dtype=np.float32)

    def _material(self, width: int, height: int) -> Image:
        reflectance = self._specimen.reflectance
        patch = np.full((height, width), self._mean, dtype=np.float32)
        (row, end_row), (column, end_column) = (
            (min(max(first, 0), count), min(max(first + length, 0), count))
            for first, length, count in zip((self._top, self._left), (height, width), reflectance.shape, strict=True)
        )
        rows, columns = slice(row - self._top, end_row - self._top), slice(column - self._left, end_column - self._left)
        patch[rows, columns] = reflectance[row:end_row, column:end_column]
        return patch

    def _height_um(self, width: int, height: int) -> Image:
        """Interpolate the coarse heights between their nodes."""
        step = 1 / HEIGHT_STEP_PX
        from_patch = np.array([[step, 0.0, self._left * step], [0.0, step, self._top * step]])
        heights = cv2.warpAffine(
            self._specimen.coarse_height_um,
            from_patch,
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(heights, dtype=np.float32)
