"""A microscope in white light: what a dry objective shows of the specimen, in focus or out of it."""

import math

import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.errors import UsageError
from hardware_sim.point_spread import (
    FWHM_PER_SIGMA,
    added_sigma,
    airy_fwhm_um,
    broadened,
    cutoff_per_um,
    depth_of_field_um,
    edge_delay_waves,
    filtered,
)
from hardware_sim.resampling import Field, blurred, regridded
from hardware_sim.settings import OpticsSettings
from hardware_sim.specimen import Specimen

MOST_PIXELS = 1.2e8
"""Of the whole specimen as the camera would see it."""
SEEN_SIGMA_PX = 0.15
"""A blur narrower than this changes the point spread of two pixels by less than 2 %."""
SEEN_DEPTH = 1 / 8
"""A focus error up to this part of the depth of field costs less than 1.5 % of the peak."""
MOST_DELAY_WAVES = 40.0
"""Farther out of focus nothing is left to see."""
WIDEST_SIGMA = 1 / 16
"""Of the longer side of the frame: a wider blur only takes contrast away, and would cost a large margin."""
WIDEST_CONE = 1 / 4
"""Of the longer side of the frame: a wider cone of light comes back on the other side, as grey as it went."""
SIGMAS = 3.5
"""Reach of a Gaussian blur: what lies beyond weighs less than 0.1 %."""

Shape = tuple[int, int]


def camera_scale(specimen: Specimen, pixel_um: float) -> float:
    """Give the size of a camera pixel in pixels of the specimen.

    Raises:
        UsageError: the whole specimen on such pixels would not fit into memory.
    """
    scale = pixel_um / specimen.pixel_um
    if specimen.reflectance.size / scale**2 > MOST_PIXELS:
        raise UsageError(
            f"camera.pixel_nm: {pixel_um * 1000:.6g} is too fine for this specimen, which has "
            f"{specimen.reflectance.shape} pixels of {specimen.pixel_um * 1000} nm"
        )
    return scale


def faded(image: Image, mean: float, contrast: float) -> Image:
    """Take contrast away, as ever wider blurs of an irregular specimen do: by the inverse of their width."""
    return np.float32(mean) + np.float32(contrast) * (image - np.float32(mean))


class FixedSpread:
    """A Gaussian point spread of so many camera pixels; it widens as a Gaussian beam does."""

    def __init__(
        self, specimen: Specimen, pixel_um: float, optics: OpticsSettings, shape_px: Shape, fwhm_px: float
    ) -> None:
        scale = camera_scale(specimen, pixel_um)
        self._fwhm_px, self._shape_px = fwhm_px, shape_px
        self._depth_um = depth_of_field_um(optics.wavelength_nm / 1000, optics.na)
        sharp = blurred(specimen.reflectance, self._fwhm_px * scale / FWHM_PER_SIGMA)
        self._mean = float(specimen.reflectance.mean())
        self._seen = Field(regridded(sharp, scale), pixel_um, self._mean)

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show reflectance (rows, columns) around a point."""
        sigma_px = added_sigma(self._fwhm_px, broadened(self._fwhm_px, defocus_um, self._depth_um))
        if sigma_px < SEEN_SIGMA_PX:
            return self._seen.around(x_um, y_um, self._shape_px)
        drawn_px = min(sigma_px, max(self._shape_px) * WIDEST_SIGMA)
        margin = math.ceil(SIGMAS * drawn_px)
        image = _without(margin, blurred(self._seen.around(x_um, y_um, _with(margin, self._shape_px)), drawn_px))
        return image if drawn_px == sigma_px else faded(image, self._mean, drawn_px / sigma_px)


class AirySpread:
    """The point spread of an aberration-free objective, exact in and out of focus."""

    def __init__(self, specimen: Specimen, pixel_um: float, optics: OpticsSettings, shape_px: Shape) -> None:
        self._shape_px = shape_px
        self._wavelength_um, self._na, self._pixel_um = optics.wavelength_nm / 1000, optics.na, pixel_um
        self._cutoff_per_um = cutoff_per_um(self._wavelength_um, self._na)
        mean = float(specimen.reflectance.mean())
        bare = regridded(specimen.reflectance, camera_scale(specimen, pixel_um))
        self._bare = Field(bare, pixel_um, mean)
        self._seen = Field(filtered(bare, pixel_um, self._cutoff_per_um, 0.0), pixel_um, mean)

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show reflectance (rows, columns) around a point."""
        if abs(defocus_um) < SEEN_DEPTH * depth_of_field_um(self._wavelength_um, self._na):
            return self._seen.around(x_um, y_um, self._shape_px)
        delay_waves = min(edge_delay_waves(defocus_um, self._wavelength_um, self._na), MOST_DELAY_WAVES)
        margin = self._reach_px(defocus_um)
        bare = self._bare.around(x_um, y_um, _with(margin, self._shape_px))
        return _without(margin, filtered(bare, self._pixel_um, self._cutoff_per_um, delay_waves))

    def _reach_px(self, defocus_um: float) -> int:
        """Find how far a point is smeared: by the cone of light, and by some rings of diffraction."""
        cone_um = abs(defocus_um) * math.tan(math.asin(self._na))
        rings_um = 4 * airy_fwhm_um(self._wavelength_um, self._na)
        return min(math.ceil((cone_um + rings_um) / self._pixel_um), round(max(self._shape_px) * WIDEST_CONE))


def _with(margin_px: int, shape_px: Shape) -> Shape:
    return shape_px[0] + 2 * margin_px, shape_px[1] + 2 * margin_px


def _without(margin_px: int, image: Image) -> Image:
    return image[margin_px:-margin_px, margin_px:-margin_px]
