"""A specimen that does not conduct charges up under the beam: the image drifts and shades, and recovers in the dark."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator

COARSE_SHADE = (4, 4)
"""Nodes of the shading over a frame."""


class Charge:
    """Charge of the field under the beam, 0 to 1 (saturated)."""

    def __init__(self, line_s: float, build_s: float, decay_s: float, field_um: float) -> None:
        self._line_s = line_s
        self._build_s = build_s
        self._decay_s = decay_s
        self._field_um = field_um
        self._charge = 0.0
        self._until_s: float | None = None
        self._position_um = np.zeros(2)

    def under_beam(self, times_s: NDArray[np.float64], positions_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Follow the charge over lines that begin at `times_s` (n), with the stage at `positions_um` (n, 2).

        It decays while no line is written, and is left behind by a stage that moves to a fresh field.
        """
        charges = np.empty(times_s.size)
        for i, (time_s, position_um) in enumerate(zip(times_s, positions_um, strict=True)):
            if self._until_s is not None:
                self._pass(float(time_s) - self._until_s, math.dist(position_um, self._position_um))
            self._charge = 1 - (1 - self._charge) * math.exp(-self._line_s / self._build_s)
            self._until_s, self._position_um = float(time_s) + self._line_s, position_um
            charges[i] = self._charge
        return charges

    def _pass(self, dark_s: float, moved_um: float) -> None:
        self._charge *= math.exp(-max(dark_s, 0.0) / self._decay_s - moved_um / self._field_um)


def shade(shape_px: tuple[int, int], seed: int) -> Image:
    """Draw how charge brightens and darkens a frame (rows, columns), -1..1."""
    coarse = generator(seed, Stream.CHARGING).standard_normal(COARSE_SHADE)
    smooth = cv2.resize(coarse.astype(np.float32), shape_px[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth / np.abs(smooth).max(), dtype=np.float32)


def push(seed: int) -> NDArray[np.float64]:
    """Draw the direction (x, y) in which charge pushes the image."""
    angle = generator(seed, Stream.CHARGING, [1]).uniform(0.0, 2 * math.pi)
    return np.array([math.cos(angle), math.sin(angle)])
