"""The sCMOS sensor of the camera: electrons, noise, flaws of single pixels, and the numbers it reads out.

Noise is not drawn pixel by pixel: a bank of standard normals is drawn once, and each row of a frame takes a stretch of
it that begins anywhere. Below `LOW_LIGHT_E` electrons, where the normal distribution is no longer that of photons, the
count comes from a table of quantiles of the Poisson distribution, entered with an equally random stretch of a bank of
uniform numbers.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import special

from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.settings import CameraSettings

Frame = NDArray[np.uint16]
T = TypeVar("T", bound=np.generic)

BANK_SIZE = 1 << 20
LOW_LIGHT_E = 16.0
"""From here on the skewness of the Poisson distribution, 0.25 and falling, is left out."""
STEPS_PER_E = 32
QUANTILES = 4096
MOST_COUNTED = 64
"""Of a mean below `LOW_LIGHT_E`; beyond the last quantile of the table."""
STRIPE_PX = 1 << 16
"""Pixels that are worked on at once; so many stay in the cache of a core."""
FLAWS, NORMALS, UNIFORMS = range(3)


@dataclass(frozen=True)
class Region:
    """A part of the sensor, in its pixels."""

    left: int
    top: int
    columns: int
    rows: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Cut this part out of an array (rows, columns) of the whole sensor."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)


class Sensor:
    """All pixels of one seed; its shape is that of the frame."""

    def __init__(self, settings: CameraSettings, seed: int) -> None:
        self._settings = settings
        self.shape_px = settings.frame_shape_px
        self._draw_flaws(generator(seed, Stream.SENSOR_FLAWS, [FLAWS]))
        size = BANK_SIZE + self.shape_px[1]
        normals = generator(seed, Stream.SENSOR_FLAWS, [NORMALS]).standard_normal(size, dtype=np.float32)
        self._normals = (normals - normals.mean()) / normals.std()
        uniforms = generator(seed, Stream.SENSOR_FLAWS, [UNIFORMS]).integers(0, QUANTILES, size, dtype=np.uint16)
        self._uniforms = uniforms
        self._poisson = _poisson_quantiles()

    def _draw_flaws(self, random: np.random.Generator) -> None:
        """Give each pixel its read noise, offset and dark current."""
        settings = self._settings
        median_e, rms_e = settings.read_noise_median_e, settings.read_noise_rms_e
        # log-normal: its rms is its median times exp(spread ** 2)
        spread = np.sqrt(np.log(max(rms_e / median_e, 1.0))) if median_e else 0.0
        self._read_noise_e = np.float32(median_e) * np.exp(
            np.float32(spread) * random.standard_normal(self.shape_px, dtype=np.float32)
        )
        self._read_variance_e2 = self._read_noise_e**2
        pattern_dn = np.float32(settings.offset_pattern_dn) * random.standard_normal(self.shape_px, dtype=np.float32)
        self._offset_dn = np.float32(settings.offset_dn) + pattern_dn
        self.dark_e_per_s = np.full(self.shape_px, settings.dark_current_e_per_s, dtype=np.float32)
        hot = random.random(self.shape_px, dtype=np.float32) < settings.hot_pixels
        least, most = np.log(settings.hot_e_per_s)
        self.dark_e_per_s[hot] = np.exp(random.uniform(least, most, int(hot.sum())))

    def read(self, image: Image, region: Region, exposure_s: float, random: np.random.Generator) -> Frame:
        """Turn the brightness that falls on a region (rows, columns) into its numbers, DN."""
        light_e = self._settings.electrons_per_s * exposure_s
        return self._read(image, region, light_e, exposure_s, random)

    def read_dark(self, region: Region, random: np.random.Generator) -> Frame:
        """Read a region that saw nothing for no time: offset and read noise."""
        return self._read(np.zeros((region.rows, region.columns), np.float32), region, 0.0, 0.0, random)

    def _read(
        self, image: Image, region: Region, light_e: float, exposure_s: float, random: np.random.Generator
    ) -> Frame:
        starts = random.integers(0, BANK_SIZE, (2, self.shape_px[0]))[:, region.slices[0]] + region.left
        frame = np.empty((region.rows, region.columns), np.uint16)
        step = max(STRIPE_PX // region.columns, 1)
        for top in range(0, region.rows, step):
            rows = slice(top, min(top + step, region.rows))
            stripe = Region(region.left, region.top + rows.start, region.columns, rows.stop - rows.start)
            electrons = cv2.scaleAdd(image[rows], light_e, self.dark_e_per_s[stripe.slices] * np.float32(exposure_s))
            self._read_stripe(np.asarray(electrons, np.float32), stripe, starts[:, rows], frame[rows])
        return frame

    def _read_stripe(self, electrons: Image, stripe: Region, starts: NDArray[np.int64], numbers: Frame) -> None:
        settings = self._settings
        cv2.threshold(electrons, 0.0, 0.0, cv2.THRESH_TOZERO, dst=electrons)
        cv2.threshold(electrons, settings.full_well_e, 0.0, cv2.THRESH_TRUNC, dst=electrons)
        normals = _stretches(self._normals, starts[0], stripe.columns)
        dark = np.flatnonzero(electrons < LOW_LIGHT_E)
        counted_e = self._counted_e(electrons.ravel()[dark], stripe, starts[1], dark)
        counted_e += normals.ravel()[dark] * self._read_noise_e[stripe.slices].ravel()[dark]
        noise = cv2.sqrt(cv2.add(electrons, self._read_variance_e2[stripe.slices]))
        cv2.add(electrons, cv2.multiply(noise, normals, dst=noise), dst=electrons)
        electrons.ravel()[dark] = counted_e  # in place: it is contiguous
        cv2.threshold(electrons, settings.full_well_e, 0.0, cv2.THRESH_TRUNC, dst=electrons)
        gain, offset_dn = 1.0 / settings.electrons_per_dn, self._offset_dn[stripe.slices]
        cv2.addWeighted(electrons, gain, offset_dn, 1.0, 0.0, dst=numbers, dtype=cv2.CV_16U)

    def _counted_e(self, few_e: Image, stripe: Region, starts: NDArray[np.int64], pixels: NDArray[np.intp]) -> Image:
        """Count photons where few are expected; what a step of the table leaves over is added without noise."""
        if not few_e.size:
            return few_e
        uniforms = _stretches(self._uniforms, starts, stripe.columns).ravel()[pixels]
        step = np.rint(few_e * STEPS_PER_E).astype(np.intp)
        left_over_e = few_e - step.astype(np.float32) / STEPS_PER_E
        return np.add(self._poisson[step, uniforms], left_over_e, dtype=np.float32)


def _stretches(bank: NDArray[T], starts: NDArray[np.int64], columns: int) -> NDArray[T]:
    """Take one stretch of the bank for each row (rows, columns)."""
    return np.lib.stride_tricks.sliding_window_view(bank, columns)[starts]


def _poisson_quantiles() -> NDArray[np.uint8]:
    """Tabulate counts (mean in steps, quantile); each quantile stands in the middle of its step."""
    means_e = np.arange(int(LOW_LIGHT_E * STEPS_PER_E) + 1) / STEPS_PER_E
    quantiles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    at_most = special.pdtr(np.arange(MOST_COUNTED)[None, :], means_e[:, None])
    return np.stack([np.searchsorted(row, quantiles) for row in at_most]).astype(np.uint8)
