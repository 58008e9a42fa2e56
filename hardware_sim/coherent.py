"""Laser light behind a specimen: free propagation of its field, and the diffraction image that a camera sees."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hardware_sim.canvas import Image
from hardware_sim.conventional import Shape
from hardware_sim.resampling import Field, centred, sampled, sampling
from hardware_sim.settings import CoherentSettings
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen

FINER = 3
"""Field points a camera pixel along each axis: 13.9 nm for OpticalNet's 41.7 nm."""
BEAM_REACH = 2.0
"""In full widths at half maximum: beyond, the beam has less than 1e-4 of its peak."""

Wave = NDArray[np.complex64]


def propagator(shape_px: Shape, pixel_um: float, wavelength_um: float, distance_um: float, na: float = 1.0) -> Wave:
    """Make the band-limited transfer of free space, (rows, columns) in FFT order.

    Frequencies that the sampled transfer could not show without aliasing are cut off (Matsushima & Shimobaba, Opt.
    Express 17 (2009) 19662, eq. 13), as is what a lens of `na` does not collect.
    """
    down, across = fft.fftfreq(shape_px[0], pixel_um)[:, None], fft.fftfreq(shape_px[1], pixel_um)[None, :]
    squared = down**2 + across**2
    longitudinal = np.sqrt(np.maximum(1 / wavelength_um**2 - squared, 0.0))
    passed = squared < (na / wavelength_um) ** 2
    for frequency, count in ((down, shape_px[0]), (across, shape_px[1])):
        step = 1 / (count * pixel_um)
        passed = passed & (np.abs(frequency) <= 1 / (wavelength_um * math.hypot(2 * step * distance_um, 1.0)))
    return np.where(passed, np.exp(2j * np.pi * distance_um * longitudinal), 0.0).astype(np.complex64)


def propagated(field: Wave, transfer: Wave) -> Wave:
    """Let a field travel; it is taken to be periodic, so it wants a guard band."""
    return np.asarray(fft.ifft2(fft.fft2(field) * transfer), dtype=np.complex64)


class CoherentView:
    """The beam stands in the middle of the frame; the specimen moves through it.

    Brightness 1 is the peak of an opening without walls.
    """

    def __init__(self, specimen: Specimen, pixel_um: float, settings: CoherentSettings, shape_px: Shape) -> None:
        self._settings = settings
        self._wavelength_um = settings.wavelength_nm / 1000
        self._frame_px = shape_px
        self._point_um = pixel_um / FINER
        self._points = self._canvas()
        self._beam = self._gaussian()
        self._reflectance = _Patch(specimen.reflectance, specimen.pixel_um, self._point_um, self._points)
        self._height = _Patch(
            specimen.coarse_height_um, specimen.pixel_um * HEIGHT_STEP_PX, self._point_um, self._points
        )
        self._latest = (math.nan, self._beam)  # distance and its propagator
        self._peak = float(self._intensity(self._beam, settings.distance_um).max())

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show intensity (rows, columns) with the beam on a point."""
        opening = np.sqrt(np.clip(self._reflectance.around(x_um, y_um), 0.0, 1.0))
        leakage = np.float32(self._settings.leakage)
        field = (leakage + (1 - leakage) * opening) * self._beam
        delay = 2 * math.pi * (self._settings.relief_index - 1) / self._wavelength_um
        if delay:
            field = field * np.exp(np.complex64(1j * delay) * self._height.around(x_um, y_um))
        return self._intensity(field, self._settings.distance_um + defocus_um) / np.float32(self._peak)

    def _intensity(self, field: Wave, distance_um: float) -> Image:
        arrived = propagated(field, self._propagator(round(distance_um, 3)))
        (rows, columns), (points_down, points_across) = self._frame_px, self._points
        top, left = (points_down - FINER * rows) // 2, (points_across - FINER * columns) // 2
        seen = arrived[top : top + FINER * rows, left : left + FINER * columns]
        intensity = seen.real**2 + seen.imag**2
        averaged = intensity.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3))
        return np.asarray(averaged, dtype=np.float32)

    def _propagator(self, distance_um: float) -> Wave:
        known_um, transfer = self._latest
        if known_um != distance_um:
            transfer = propagator(self._points, self._point_um, self._wavelength_um, distance_um, self._settings.na)
            self._latest = (distance_um, transfer)
        return transfer

    def _canvas(self) -> Shape:
        """Count the points (rows, columns) that the beam needs to spread at the nominal distance without wrapping."""
        widest = math.tan(math.asin(min(self._settings.na, 0.99)))
        spread_um = BEAM_REACH * self._settings.beam_fwhm_um + abs(self._settings.distance_um) * widest
        rows, columns = (
            FINER * count + 2 * math.ceil(max(spread_um / self._point_um - FINER * count / 2, 0.0) + spread_um * 0.1)
            for count in self._frame_px
        )
        return _fast_length(rows), _fast_length(columns)

    def _gaussian(self) -> Wave:
        down, across = (
            np.exp(-2 * math.log(2) * (centred(count) * self._point_um / self._settings.beam_fwhm_um) ** 2)
            for count in self._points
        )
        return np.asarray(np.outer(down, across), dtype=np.complex64)


class _Patch:
    """Looks at a map around a point, on the points of the field."""

    def __init__(self, image: Image, pixel_um: float, point_um: float, points: Shape) -> None:
        self._field = Field(image, pixel_um, float(image.mean()))
        scale = point_um / pixel_um
        self._shape_px = (math.ceil(points[0] * scale) + 1, math.ceil(points[1] * scale) + 1)
        self._down, self._across = (
            sampling(count, centred(wanted) * scale + (count - 1) / 2, max(scale, 1.0))
            for count, wanted in zip(self._shape_px, points, strict=True)
        )

    def around(self, x_um: float, y_um: float) -> Image:
        return sampled(self._field.around(x_um, y_um, self._shape_px), self._down, self._across)


def _fast_length(count: int) -> int:
    """Find a length that transforms quickly and leaves the frame exactly in its middle."""
    length = fft.next_fast_len(count)
    while (length - count) % 2:
        length = fft.next_fast_len(length + 1)
    return int(length)
