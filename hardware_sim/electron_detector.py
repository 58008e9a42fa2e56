"""From electrons to grey levels: shot noise, the slowness of the amplifier, and 8 bits."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image

ELECTRON_PC = 1.602176634e-7
LEAST_LAG = 1e-4
"""Parts of a pulse below this are left out."""

Grey = NDArray[np.uint8]


def lag(dwell_s: float, time_constant_s: float) -> NDArray[np.float64]:
    """Say which part of what a pixel sets free is read out in it, in the next pixel and so on; the sum is 1.

    The amplifier is a single pole, and electrons come at any time of the dwell. Pixels that are much longer than the
    time constant keep nearly all.
    """
    if time_constant_s == 0 or dwell_s > time_constant_s / LEAST_LAG:
        return np.ones(1)
    ratio = dwell_s / time_constant_s
    own = 1 - (1 - math.exp(-ratio)) / ratio
    count = math.ceil(-math.log(LEAST_LAG) / ratio) + 1
    later = (1 - math.exp(-ratio)) ** 2 / ratio * np.exp(-ratio * np.arange(count))
    parts = np.concatenate([[own], later])
    normalised: NDArray[np.float64] = parts / parts.sum()
    return normalised


def quanta(seen: Image, dose: float, random: np.random.Generator) -> Image:
    """Count what arrives, in units of yield: Poisson with a mean of `dose` for a yield of 1."""
    counted = random.poisson(np.maximum(seen, 0.0) * dose)
    return np.asarray(counted / dose, dtype=np.float32)


def smeared(lines: Image, parts: NDArray[np.float64]) -> Image:
    """Let each pixel spill into those that follow on its line; before a line, the beam rests on its first pixel."""
    late = np.pad(lines, ((0, 0), (parts.size - 1, 0)), mode="edge")
    columns = lines.shape[1]
    total = np.zeros_like(lines)
    for delay, part in enumerate(parts):
        first = parts.size - 1 - delay
        total += np.float32(part) * late[:, first : first + columns]
    return total


@dataclass(frozen=True)
class Converter:
    """Brightness and contrast of the detector, as the operator has set them."""

    black_dn: float
    white_yield: float

    def grey(self, signal: Image) -> Grey:
        """Turn yields into 8 bit: `black_dn` where nothing comes back, 255 from `white_yield` on."""
        levels = self.black_dn + signal * ((255 - self.black_dn) / self.white_yield)
        return np.asarray(np.clip(np.rint(levels), 0, 255), dtype=np.uint8)
