"""Halve an image, and say where the pixels of each level lie."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST_TOP_PX = 256


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """List the shapes (y, x) of all levels, each half of the one before, rounded up, down to `LARGEST_TOP_PX`."""
    shapes = [shape]
    while max(shapes[-1]) > LARGEST_TOP_PX:
        rows, columns = shapes[-1]
        shapes.append(((rows + 1) // 2, (columns + 1) // 2))
    return shapes


def level_transform(level: int, pixel_size: float, origin: tuple[float, float]) -> tuple[float, tuple[float, float]]:
    """Give the pixel size of a level and the place (y, x) of the centre of its first pixel."""
    offset = (2**level - 1) / 2 * pixel_size
    return pixel_size * 2**level, (origin[0] + offset, origin[1] + offset)


def halved(image: NDArray[Any]) -> NDArray[Any]:
    """Average 2 x 2 pixels (uint8 or uint16), rounded half up; at an odd rim the last row or column counts twice."""
    rows, columns = image.shape
    if rows % 2 or columns % 2:
        image = np.pad(image, ((0, rows % 2), (0, columns % 2)), mode="edge")
    return np.asarray(cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA))
