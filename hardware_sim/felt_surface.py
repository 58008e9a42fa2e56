"""What a round probe feels of a surface: it rides on whatever it touches first."""

import math
from dataclasses import replace

import cv2
import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.specimen import HEIGHT_STEP_PX
from hardware_sim.surface import Surface

ROWS_AT_ONCE = 64
"""So many stay in the processor's cache."""


def felt_by_sphere(surface: Surface, radius_um: float) -> Surface:
    """Lift each point to where the lowest point of a sphere comes to rest above it."""
    specimen = surface.specimen
    step_um = specimen.pixel_um * HEIGHT_STEP_PX
    felt = dilated(specimen.coarse_height_um, step_um, radius_um)
    return replace(surface, specimen=replace(specimen, coarse_height_um=felt))


def dilated(height_um: Image, step_um: float, radius_um: float) -> Image:
    """Roll a sphere over heights (rows, columns): max over all offsets d of h(x + d) - d^2 / 2R.

    The paraboloid stands for the sphere, whose slope is small at the depth of such reliefs; so rows and columns can be
    treated one after the other (Villarrubia, J. Res. NIST 102, 1997, on dilation by a tip).
    """
    relief_um = float(np.ptp(height_um))
    reach = math.ceil(math.sqrt(2 * radius_um * relief_um) / step_um)
    felt = height_um
    for _ in range(2):  # along the columns, then along the rows
        felt = np.array(felt.T, order="C")
        _roll_along_rows(felt, reach, step_um**2 / (2 * radius_um))
    return felt


def _roll_along_rows(felt_um: Image, reach: int, lower_by_um: float) -> None:
    for first in range(0, len(felt_um), ROWS_AT_ONCE):
        felt = felt_um[first : first + ROWS_AT_ONCE]
        before, lowered = felt.copy(), np.empty_like(felt)
        for offset in range(1, min(reach, felt.shape[1] - 1) + 1):
            np.subtract(before, np.float32(offset**2 * lower_by_um), out=lowered)
            for there, here in ((felt[:, :-offset], lowered[:, offset:]), (felt[:, offset:], lowered[:, :-offset])):
                cv2.max(there, here, there)
