"""Grey values along a line."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_image


def line_profile(
    image: NDArray[Any], start_px: tuple[float, float], end_px: tuple[float, float], width_px: int = 1
) -> tuple[Image, Image]:
    """Sample an image (y, x) each pixel from start to end (y, x), as the mean over `width_px` lines a pixel apart.

    Gives the distance from the start in px, and the grey value, between pixels by bilinear interpolation; beyond the
    rim the last pixel counts. Agrees with scikit-image `profile_line(order=1, mode="nearest")`.

    Raises:
        InputError: the line has no length, or less than one line is asked for.
    """
    values = as_image(image)
    away = np.subtract(end_px, start_px)
    length = math.hypot(*away)
    if length == 0 or width_px < 1:
        raise InputError(f"profile: length {length:g} px, width {width_px} px; should be above 0, and 1 or more")
    samples = math.ceil(length) + 1
    share = np.linspace(0, 1, samples)
    across = np.array([-away[1], away[0]]) / length * (np.arange(width_px) - (width_px - 1) / 2)[:, None]
    at = np.asarray(start_px)[:, None, None] + away[:, None, None] * share + across.T[:, :, None]
    found = ndimage.map_coordinates(values, at, order=1, mode="nearest")
    return share * length, np.asarray(found.mean(axis=0))
