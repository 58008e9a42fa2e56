"""Training without pairs: hide some pixels, and ask the network for what was there.

It cannot know the noise of a pixel that it does not see (Krull, Buchholz and Jug 2019); hidden pixels show the median
of their surroundings (Höck et al. 2022). Where noise is alike along lines, their neighbours on the line are hidden too
(Broaddus et al. 2020), or they would tell it.
"""

import numpy as np
from numpy.typing import NDArray

SHARE = 0.01  # of all pixels; 0.002 are usual for larger crops
AROUND_PX = 5  # side of the square whose median is shown


def hidden(
    seen: NDArray[np.float32], span_px: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hide pixels of an image (y, x); the image as shown, and 1 where pixels are asked for, else 0.

    Args:
        span_px: how many pixels of a line are hidden about each one that is asked for, itself included: 1, 3, 5, ...
    """
    rows, columns = seen.shape
    count = max(round(SHARE * seen.size), 1)
    y, x = random.integers(0, rows, count), random.integers(0, columns, count)
    asked = np.zeros_like(seen)
    asked[y, x] = 1
    shown, reach = seen.copy(), span_px // 2
    for step in range(-reach, reach + 1):
        beside = np.clip(x + step, 0, columns - 1)
        shown[y, beside] = _medians(seen, y, beside, x, reach)
    return shown, asked


def _medians(
    seen: NDArray[np.float32], y: NDArray[np.int64], x: NDArray[np.int64], asked_x: NDArray[np.int64], reach: int
) -> NDArray[np.float32]:
    """Medians about the pixels (y, x), of what is not hidden: not on the line within `reach` of the one asked for."""
    half = AROUND_PX // 2
    offsets = np.arange(-half, half + 1)
    rows = _inside(y[:, None, None] + offsets[:, None], seen.shape[0])
    columns = _inside(x[:, None, None] + offsets[None, :], seen.shape[1])
    around = seen[rows, columns]
    on_line = rows == y[:, None, None]
    near = np.abs(columns - asked_x[:, None, None]) <= reach
    around = np.where(on_line & near, np.nan, around)
    return np.asarray(np.nanmedian(around.reshape(len(y), -1), axis=1), np.float32)


def _inside(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect indices at both ends."""
    return np.asarray(np.where(index < 0, -index, np.where(index >= size, 2 * size - 2 - index, index)))
