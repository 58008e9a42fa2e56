"""What a lens makes of a point: its width, its depth, and the frequencies that it passes."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hardware_sim.canvas import Image

AIRY_FWHM = 0.5145
"""Full width at half maximum of the Airy pattern in wavelengths over numerical aperture (Born & Wolf, 8.5.2)."""
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
TABLE_STEPS = 256
"""Of frequency and of the pupil; the transfer function is then exact to 1e-3."""

Float = NDArray[np.float64]


def airy_fwhm_um(wavelength_um: float, na: float) -> float:
    """Give the width of an in-focus incoherent point image."""
    return AIRY_FWHM * wavelength_um / na


def depth_of_field_um(wavelength_um: float, na: float, index: float = 1.0) -> float:
    """Give the whole depth over which the wavefront errs by less than a quarter wave (Born & Wolf, 8.8.2)."""
    return index * wavelength_um / na**2


def cutoff_per_um(wavelength_um: float, na: float) -> float:
    """Give the highest spatial frequency that incoherent light carries (Abbe)."""
    return 2 * na / wavelength_um


def broadened(fwhm: float, defocus_um: float, depth_um: float) -> float:
    """Widen a Gaussian point spread as a Gaussian beam widens: by sqrt(2) at the ends of its depth."""
    return fwhm * math.hypot(1.0, 2 * defocus_um / depth_um)


def added_sigma(fwhm: float, widened_fwhm: float) -> float:
    """Give the standard deviation of the Gaussian that turns one Gaussian point spread into a wider one."""
    return math.sqrt(max(widened_fwhm**2 - fwhm**2, 0.0)) / FWHM_PER_SIGMA


def edge_delay_waves(defocus_um: float, wavelength_um: float, na: float) -> float:
    """Give the defocus in waves at the edge of the pupil of a dry lens, exactly: z (1 - cos) of its angle."""
    return abs(defocus_um) * (1 - math.sqrt(1 - na**2)) / wavelength_um


def transfer(frequency: Float, delay_waves: float) -> Float:
    """Give the transfer of an aberration-free lens at frequencies in units of its cut-off.

    Hopkins, Proc. R. Soc. A 231 (1955) 91: the pupil and its shifted copy overlap in a lens shape, over which the
    defocus is a linear phase.
    """
    steps = np.linspace(0.0, 1.0, TABLE_STEPS)[:, None]  # of the frequency
    across = (np.arange(TABLE_STEPS) + 0.5) / TABLE_STEPS * (1 - steps)  # half of the overlap, along the shift
    chord = np.sqrt(1 - (across + steps) ** 2)
    wave = np.cos(8 * np.pi * delay_waves * steps * across)
    table = 4 / np.pi * (1 - steps[:, 0]) * (chord * wave).mean(axis=1)
    passed: Float = np.interp(frequency, steps[:, 0], table / table[0], right=0.0)
    return passed


def filtered(image: Image, pixel_um: float, cutoff_per_um: float, delay_waves: float) -> Image:
    """Image (rows, columns) through a lens; the image is taken to be periodic."""
    down = fft.fftfreq(image.shape[0], pixel_um)
    across = fft.rfftfreq(image.shape[1], pixel_um)
    passed = transfer(np.hypot(down[:, None], across[None, :]) / cutoff_per_um, delay_waves).astype(np.float32)
    spectrum = fft.rfft2(image)
    spectrum *= passed
    return np.asarray(fft.irfft2(spectrum, image.shape, overwrite_x=True), dtype=np.float32)
