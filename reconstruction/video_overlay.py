"""What stands on the screen and is no specimen: a data bar, which is cut off, and marks, which are not registered."""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.video_pictures import Crop

LEAST_SAMPLES = 6
STILL_PART = 0.02  # of the range of grey values; a codec changes what stands still by less
MOST_STILL = 0.5  # of the picture; beyond, it is the view that stood still
BAR_PART = 0.8  # of a line that stands still
LEAST_BAR_PART = 0.02  # of a side
MOST_BAR_PART = 0.35
LEAST_MARK_PX = 12


def still(samples: Iterable[NDArray[Any]]) -> NDArray[np.bool_] | None:
    """Mark (y, x) what is the same in pictures of different places; None where they tell nothing."""
    lowest: NDArray[Any] | None = None
    highest: NDArray[Any] | None = None
    count = 0
    for sample in samples:
        lowest = sample if lowest is None else np.minimum(lowest, sample)
        highest = sample if highest is None else np.maximum(highest, sample)
        count += 1
    if lowest is None or highest is None or count < LEAST_SAMPLES:
        return None
    limit = max(1, round(STILL_PART * float(highest.max() - lowest.min())))
    marked = (highest - lowest) <= limit
    return marked if marked.mean() <= MOST_STILL else None


def without_bars(marked: NDArray[np.bool_]) -> Crop:
    """Give the part of a picture (x, y, width, height) that is left when bars at its rims are cut off."""
    top, bottom = _bars(marked.mean(axis=1) >= BAR_PART)
    left, right = _bars(marked[top : len(marked) - bottom].mean(axis=0) >= BAR_PART)
    rows, columns = marked.shape
    return left, top, columns - left - right, rows - top - bottom


def marks(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep of what stands still what is larger than a few pixels that happen to be alike, and its rim."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[1:count, cv2.CC_STAT_AREA] >= LEAST_MARK_PX) + 1
    kept = np.isin(labels, large).astype(np.uint8)
    return np.asarray(cv2.dilate(kept, np.ones((5, 5), np.uint8)) > 0)


def _bars(stands_still: NDArray[np.bool_]) -> tuple[int, int]:
    """Length of the bars at both ends; a bar may hold a few lines that change, such as those with a clock."""
    return _bar(stands_still), _bar(stands_still[::-1])


def _bar(stands_still: NDArray[np.bool_]) -> int:
    longest = round(MOST_BAR_PART * len(stands_still))
    share = np.cumsum(stands_still[:longest]) / np.arange(1, longest + 1)
    ends = np.flatnonzero((share >= BAR_PART) & stands_still[:longest])
    length = int(ends[-1]) + 1 if len(ends) else 0
    return length if length >= LEAST_BAR_PART * len(stands_still) else 0
