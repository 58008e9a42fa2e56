"""A superlens: a glass sphere on the probe, whose virtual image the objective sees (Wang et al. 2016)."""

import math

import cv2
import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.conventional import SEEN_SIGMA_PX, WIDEST_SIGMA, Shape, camera_scale, faded
from hardware_sim.point_spread import FWHM_PER_SIGMA, added_sigma, airy_fwhm_um, broadened
from hardware_sim.resampling import Field, blurred, regridded
from hardware_sim.settings import MicrosphereSettings, OpticsSettings
from hardware_sim.specimen import Specimen

RIM = 0.06
"""Part of the window's radius over which it fades into its surroundings."""
SURROUNDINGS_SIGMA_UM = 4.0
"""The virtual image lies tens of um below the specimen, which the objective then sees far out of focus."""
MARGIN_PX = 8
"""The interpolation at the rim of the window wants neighbours."""


def near_field_fwhm_um(wavelength_um: float, sphere_index: float) -> float:
    """Give the width of a point seen through a touching sphere: half a wavelength inside it (SSUM-CycleGAN paper)."""
    return wavelength_um / (2 * sphere_index)


def near_field_reach_um(wavelength_um: float, optics: MicrosphereSettings) -> float:
    """Give the gap over which the evanescent amplitude that the sphere collects falls to 1/e (total reflection)."""
    aperture = math.sqrt(max(optics.sphere_index**2 - optics.medium_index**2, 1e-6))
    return wavelength_um / (2 * math.pi * aperture)


class MicrosphereView:
    """A round window in the middle of the frame shows the specimen magnified; around it all is dim and blurred.

    The nearer the sphere, the more of the fine detail reaches it; what is left at a distance is what the objective
    sees by itself.
    """

    def __init__(self, specimen: Specimen, pixel_um: float, optics: OpticsSettings, shape_px: Shape) -> None:
        self._sphere = optics.microsphere
        wavelength_um = optics.wavelength_nm / 1000
        self._fwhm_um = near_field_fwhm_um(wavelength_um, self._sphere.sphere_index)
        self._reach_um = near_field_reach_um(wavelength_um, self._sphere)
        self._pixel_um = pixel_um
        self._mean = float(specimen.reflectance.mean())
        self._near, self._far = (
            _through(specimen, pixel_um, fwhm_um) for fwhm_um in (self._fwhm_um, airy_fwhm_um(wavelength_um, optics.na))
        )
        self._around = _surroundings(specimen)
        self._frame_px = shape_px
        side = 2 * math.ceil(self._sphere.field_um / 2 / pixel_um) + 1
        # as even or odd as the frame, so that both have one centre
        self._side_px = tuple(min(side + (count - side) % 2, count) for count in shape_px)
        self._seen_at, self._light, self._open = self._window()

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show reflectance (rows, columns) with the window around a point."""
        image = self._surroundings_of(x_um, y_um)
        rows, columns = self._side_px
        top, left = (self._frame_px[0] - rows) // 2, (self._frame_px[1] - columns) // 2
        window = image[top : top + rows, left : left + columns]
        window += self._open * (self._light * self._virtual_image(x_um, y_um, defocus_um, gap_um) - window)
        return image

    def _virtual_image(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        shape_px = (self._side_px[0] + 2 * MARGIN_PX, self._side_px[1] + 2 * MARGIN_PX)
        near = np.float32(math.exp(-max(gap_um, 0.0) / self._reach_um))
        flat = self._far.around(x_um, y_um, shape_px)
        flat = flat + near * (self._near.around(x_um, y_um, shape_px) - flat)
        widened_um = broadened(self._fwhm_um, defocus_um, self._sphere.depth_of_field_um)
        sigma_px = added_sigma(self._fwhm_um, widened_um) / self._pixel_um
        if sigma_px > SEEN_SIGMA_PX:
            drawn_px = min(sigma_px, max(self._side_px) * WIDEST_SIGMA)
            flat = faded(blurred(flat, drawn_px), self._mean, drawn_px / sigma_px)
        bent = cv2.remap(flat, *self._seen_at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(bent, dtype=np.float32)

    def _window(self) -> tuple[tuple[np.ndarray, np.ndarray], Image, Image]:
        """Prepare where each pixel of the window looks, how bright it is, and how far it belongs to the window."""
        rows, columns = self._side_px
        down, across = np.mgrid[0:rows, 0:columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
        from_centre = np.hypot(down, across) * self._pixel_um / (self._sphere.field_um / 2)
        # a magnification that grows outwards shows points that lie further in
        shrunk = 1 / (1 + self._sphere.distortion * from_centre**2)
        at_x = (across * shrunk + (columns - 1) / 2 + MARGIN_PX).astype(np.float32)
        at_y = (down * shrunk + (rows - 1) / 2 + MARGIN_PX).astype(np.float32)
        light = (1 - self._sphere.vignetting * np.minimum(from_centre, 1.0) ** 2).astype(np.float32)
        inwards = np.clip((1 - from_centre) / RIM, 0.0, 1.0)
        return (at_x, at_y), light, (inwards * inwards * (3 - 2 * inwards)).astype(np.float32)

    def _surroundings_of(self, x_um: float, y_um: float) -> Image:
        """Show what the objective sees beside the sphere: not magnified by it, and far out of focus."""
        rows, columns = self._frame_px
        step = self._pixel_um * self._sphere.magnification / self._around.pixel_um
        first_x = x_um / self._around.pixel_um - (columns - 1) / 2 * step
        first_y = y_um / self._around.pixel_um - (rows - 1) / 2 * step
        picture = cv2.warpAffine(
            self._around.image,
            np.array([[step, 0.0, first_x], [0.0, step, first_y]]),
            (columns, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=self._mean,
        )
        return np.asarray(picture, dtype=np.float32) * np.float32(self._sphere.background)


def _through(specimen: Specimen, pixel_um: float, fwhm_um: float) -> Field:
    """Blur a specimen on its own pixels and lay it on those of the camera."""
    scale = camera_scale(specimen, pixel_um)
    seen = blurred(specimen.reflectance, fwhm_um / specimen.pixel_um / FWHM_PER_SIGMA)
    return Field(regridded(seen, scale), pixel_um, float(specimen.reflectance.mean()))


def _surroundings(specimen: Specimen) -> Field:
    pixel_um = SURROUNDINGS_SIGMA_UM / 4
    mean = float(specimen.reflectance.mean())
    smooth = blurred(specimen.reflectance, SURROUNDINGS_SIGMA_UM / specimen.pixel_um)
    return Field(regridded(smooth, pixel_um / specimen.pixel_um), pixel_um, mean)
