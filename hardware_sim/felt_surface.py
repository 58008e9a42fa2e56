"""What a round probe feels of a surface: it rides on whatever it touches first."""

import math
from dataclasses import replace

import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.specimen import HEIGHT_STEP_PX
from hardware_sim.surface import Surface


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
    for axis in (0, 1):
        before = felt
        felt = before.copy()
        for offset in range(1, min(reach, before.shape[axis] - 1) + 1):
            lower_um = np.float32((offset * step_um) ** 2 / (2 * radius_um))
            low, high = [slice(None)] * 2, [slice(None)] * 2
            low[axis], high[axis] = slice(None, -offset), slice(offset, None)
            there, here = tuple(low), tuple(high)
            np.maximum(felt[there], before[here] - lower_um, out=felt[there])
            np.maximum(felt[here], before[there] - lower_um, out=felt[here])
    return felt
