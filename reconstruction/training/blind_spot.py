"""Training without pairs: hide some pixels, and ask the network for what was there.

It cannot know the noise of a pixel that it does not see (Krull, Buchholz and Jug 2019). Where noise is alike along
lines, neighbours on the line are hidden too (Broaddus et al. 2020), or they would tell it. What is shown instead comes
from lines near by, as it is: pixels that could be told from others would be all that the network learns to restore.
"""

import numpy as np
from numpy.typing import NDArray

SHARE = 0.01  # of all pixels; 0.002 are usual for larger crops
REACH_PX = 2  # how far off what is shown instead may lie, along both axes


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
    away = random.integers(1, REACH_PX + 1, count) * random.choice([-1, 1], count)
    other_y = np.where((y + away < 0) | (y + away >= rows), y - away, y + away)  # never the line itself
    moved_x = random.integers(-REACH_PX, REACH_PX + 1, count)
    shown = seen.copy()
    for step in range(-(span_px // 2), span_px // 2 + 1):
        beside = np.clip(x + step, 0, columns - 1)
        shown[y, beside] = seen[other_y, _inside(x + step + moved_x, columns)]
    return shown, asked


def _inside(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect indices at both ends."""
    return np.asarray(np.where(index < 0, -index, np.where(index >= size, 2 * size - 2 - index, index)))
