"""The microscope and its camera: point spread, magnification, light and noise."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hardware_sim.canvas import Image
from hardware_sim.errors import UsageError
from hardware_sim.settings import CameraSettings
from hardware_sim.specimen import Specimen

Frame = NDArray[np.uint16]

LOBES = 4
"""Half width of the resampling kernel (windowed sinc), in pixels."""
MOST_PIXELS = 1.2e8
"""Of the whole specimen as the camera would see it."""


def lanczos(distance_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh neighbours at a distance; the weights of one point still want normalising."""
    inside = np.abs(distance_px) < LOBES
    return np.where(inside, np.sinc(distance_px) * np.sinc(distance_px / LOBES), 0.0)


class Microscope:
    """Renders what the camera sees when its centre looks at a point of the specimen.

    The whole specimen is blurred once, on a grid of camera pixels whose node (0, 0) lies at (0, 0) um; an
    exposure then is a shift by a fraction of a pixel. Outside the specimen everything has its mean grey.
    """

    def __init__(self, specimen: Specimen, settings: CameraSettings) -> None:
        self.settings = settings
        self.pixel_um = specimen.pixel_um if settings.pixel_nm is None else settings.pixel_nm / 1000.0
        scale = self.pixel_um / specimen.pixel_um
        if specimen.reflectance.size / scale**2 > MOST_PIXELS:
            raise UsageError(
                f"camera.pixel_nm: {settings.pixel_nm} is too fine for this specimen, which has "
                f"{specimen.reflectance.shape} pixels of {specimen.pixel_um * 1000} nm"
            )
        sigma_px = settings.psf_fwhm_px * scale / (2 * math.sqrt(2 * math.log(2)))
        blurred = np.asarray(
            cv2.GaussianBlur(specimen.reflectance, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.float32
        )
        self._seen: Image = blurred if scale == 1 else _regridded(blurred, scale)
        self._mean = float(specimen.reflectance.mean())

    def image(self, x_um: float, y_um: float) -> Image:
        """Render reflectance (rows, columns); frame coordinate ((rows - 1) / 2, (columns - 1) / 2) sees (x, y)."""
        rows, columns = self.settings.frame_shape_px
        top, down = _split(y_um / self.pixel_um - (rows - 1) / 2)
        left, across = _split(x_um / self.pixel_um - (columns - 1) / 2)
        source = self._window(top - LOBES, left - LOBES, rows + 2 * LOBES, columns + 2 * LOBES)
        shifted = cv2.sepFilter2D(source, cv2.CV_32F, _shift_kernel(across), _shift_kernel(down))
        return np.asarray(shifted, dtype=np.float32)[LOBES:-LOBES, LOBES:-LOBES]

    def detect(self, image: Image, exposure_s: float, random: np.random.Generator) -> Frame:
        """Turn reflectance into what the sensor reads out.

        Shot noise is drawn from the normal distribution: from some ten electrons on it is the Poisson one, and
        below that the read noise hides the difference.
        """
        settings = self.settings
        electrons = np.maximum(image, 0.0)
        electrons *= np.float32(settings.electrons_per_s * exposure_s)
        np.minimum(electrons, np.float32(settings.full_well_e), out=electrons)
        noise = random.standard_normal(image.shape, dtype=np.float32)
        noise *= np.sqrt(electrons + np.float32(settings.read_noise_e**2))
        electrons += noise
        np.minimum(electrons, np.float32(settings.full_well_e), out=electrons)
        electrons *= np.float32(1 / settings.electrons_per_dn)
        electrons += np.float32(settings.offset_dn + 0.5)  # the half makes truncation round
        return np.clip(electrons, 0, 65535).astype(np.uint16)

    def _window(self, top: int, left: int, rows: int, columns: int) -> Image:
        """Cut out a part of what can be seen, filled up with the mean."""
        height, width = self._seen.shape
        if top >= 0 and left >= 0 and top + rows <= height and left + columns <= width:
            return self._seen[top : top + rows, left : left + columns]
        window = np.full((rows, columns), self._mean, dtype=np.float32)
        row, end_row = max(top, 0), min(top + rows, height)
        column, end_column = max(left, 0), min(left + columns, width)
        if row < end_row and column < end_column:
            inside = self._seen[row:end_row, column:end_column]
            window[row - top : end_row - top, column - left : end_column - left] = inside
        return window


def _split(coordinate_px: float) -> tuple[int, float]:
    whole = math.floor(coordinate_px)
    return whole, coordinate_px - whole


def _shift_kernel(fraction_px: float) -> NDArray[np.float64]:
    """Weights of the neighbours -LOBES..LOBES of a point that lies `fraction_px` (0..1) above a node."""
    weights = lanczos(np.arange(-LOBES, LOBES + 1, dtype=np.float64) - fraction_px)
    weights /= weights.sum()
    return weights


def _regridded(image: Image, scale: float) -> Image:
    """Sample an image at multiples of `scale` pixels, along both axes."""
    down, across = (_sampling(count, scale) for count in image.shape)
    return np.ascontiguousarray((across @ np.asarray(down @ image).T).T)


def _sampling(count: int, scale: float) -> sparse.csr_matrix:
    """Matrix (samples, count) that interpolates at multiples of `scale`."""
    at_px = np.arange(int((count - 1) / scale + 1e-9) + 1) * scale
    neighbours = np.floor(at_px).astype(int)[:, None] + np.arange(1 - LOBES, LOBES + 1)
    weights = lanczos(neighbours - at_px[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    samples = np.broadcast_to(np.arange(at_px.size)[:, None], neighbours.shape)
    inside = np.clip(neighbours, 0, count - 1)
    entries = (weights.ravel().astype(np.float32), (samples.ravel(), inside.ravel()))
    return sparse.csr_matrix(entries, shape=(at_px.size, count))
