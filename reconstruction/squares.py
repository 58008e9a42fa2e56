"""Means of tiles over the squares of one grid that lies fixed on the mosaic.

Two tiles that show the same have the same means there, wherever their own pixels begin.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Canvas
from reconstruction.pyramid import halved
from reconstruction.resampling import STEPS, Region
from reconstruction.strips import Image

SQUARE_PX = 8  # side of the squares in which what is broad is mixed


def covering(box: Canvas) -> Canvas:
    """Give the squares that share a pixel with a box; the grid begins at the pixel 0, 0."""
    left, top = box.x_px // SQUARE_PX, box.y_px // SQUARE_PX
    right, bottom = -(-(box.x_px + box.width_px) // SQUARE_PX), -(-(box.y_px + box.height_px) // SQUARE_PX)
    return Canvas(left, top, right - left, bottom - top)


def inside(box: Canvas) -> Canvas | None:
    """Give the squares that lie whole within a box; None if there is none."""
    left, top = -(-box.x_px // SQUARE_PX), -(-box.y_px // SQUARE_PX)
    right, bottom = (box.x_px + box.width_px) // SQUARE_PX, (box.y_px + box.height_px) // SQUARE_PX
    return Canvas(left, top, right - left, bottom - top) if right > left and bottom > top else None


def averaged(image: NDArray[Any]) -> Image:
    """Average an image (y, x) over squares; its sides are multiples of `SQUARE_PX`."""
    size = image.shape[1] // SQUARE_PX, image.shape[0] // SQUARE_PX
    half = image if image.dtype == np.float32 else halved(image).astype(np.float32)  # two steps: in half of the time
    return np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def means_of(frame: NDArray[Any], region: Region, rest: tuple[int, int]) -> Image:
    """Average a region of a frame (y, x) that is moved by `rest` (x, y) steps, linear between its pixels."""
    means = averaged(frame[region])
    rows, columns = region
    if rest[0]:
        means += _gained(frame[rows], columns, rest[0], axis=1)
    if rest[1]:
        means += _gained(frame[:, columns], rows, rest[1], axis=0)
    return means


def _gained(frame: NDArray[Any], part: slice, rest: int, axis: int) -> Image:
    """What squares gain by a move along an axis: part of a line of pixels on one side, less one on the other."""
    borders = np.arange(part.start, part.stop + 1, SQUARE_PX) - (rest > 0)
    lines = np.take(frame, np.clip(borders, 0, frame.shape[axis] - 1), axis=axis).astype(np.float32)
    height, width = (size if at == axis else size // SQUARE_PX for at, size in enumerate(lines.shape))
    means = cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(np.diff(means, axis=axis) * np.float32(-rest / STEPS / SQUARE_PX))
