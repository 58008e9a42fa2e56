"""Which grey values a viewer sees as black and white: the same for all tiles of a run, from its first to its last."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.frame_array import DESCRIPTION
from acquisition.run_folder import RAW
from reconstruction.damage import named
from reconstruction.restore import deviation_steps

DARKEST, BRIGHTEST = 0.1, 99.9  # percentiles of the first frame
MARGIN = 0.25  # of what lies between, on either side, for frames that are darker or brighter than the first
EVERY = 4  # pixels
DEVIATIONS = 4  # a standard deviation so many of which reach from black to white is shown as white
MOST_KNOWN = 64  # runs


def display_range(run: Path) -> tuple[int, int] | None:
    """Black and white of a run, as its first frame has it; None: there is no frame yet."""
    try:
        return _known_range(run)
    except _NoFrame:
        return None


def range_of(layer: str, black: int, white: int) -> tuple[int, int]:
    """Black and white of a layer, where the run has these; standard deviations begin at 0 and are much smaller.

    Frames of runs have 16 bits.
    """
    if layer != "uncertainty":
        return black, white
    return 0, max(round((white - black) * deviation_steps(np.uint16) / DEVIATIONS), 1)


def as_shown(image: NDArray[Any], black: int, white: int) -> NDArray[np.uint8]:
    """8 bit grey (y, x); nothing stays black: what is covered is at least 1."""
    scaled = (image.astype(np.float32) - black) * (255.0 / (white - black))
    shown: NDArray[np.uint8] = np.clip(np.rint(scaled), 1, 255).astype(np.uint8)
    shown[image == 0] = 0
    return shown


class _NoFrame(Exception):
    """Not to be remembered."""


@lru_cache(MOST_KNOWN)
def _known_range(run: Path) -> tuple[int, int]:
    try:
        with named(run / RAW / DESCRIPTION, run):
            array = zarr.open_array(run / RAW, mode="r")
        with named(run / RAW, run):
            first = np.asarray(array[0])[::EVERY, ::EVERY] if array.shape[0] else np.zeros(0)
    except FileNotFoundError:
        raise _NoFrame from None
    if not first.any():
        raise _NoFrame
    low, high = np.percentile(first, [DARKEST, BRIGHTEST])
    margin = MARGIN * (high - low)
    black = max(round(low - margin), 0)
    return black, max(round(high + margin), black + 1)
