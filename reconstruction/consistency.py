"""Does a restored frame, blurred, still explain the frame that it was made of? What it cannot explain was invented."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.noise import measure

BIN_PX = 4  # square of pixels that are averaged: noise falls to a quarter, what matters in a picture stays
LEAST_AGREEMENT = 0.9  # below, a tile is doubtful
LEAST_SIGNAL = 0.3  # of the variance of the averages; with less there is nothing to agree with


def agreement(frame: NDArray[Any], restored: NDArray[Any], scale: int = 1) -> float | None:
    """Correlate a frame (y, x) with its restored self, blurred to fit; 1 is full agreement, None: all is noise.

    `restored` has `scale` times the shape of the frame.

    Resolution-scaled Pearson coefficient (Culley et al. 2018) of averages over squares of `BIN_PX`, divided by what
    noise leaves of it at best (Spearman 1904), so that the noise of the frame counts for nothing.
    """
    from reconstruction.metrics.squirrel import squirrel  # with optimisation and filters, for restored frames alone

    seen, made = _averages(frame, BIN_PX), _averages(restored, BIN_PX * scale)
    variance = float(seen.var())
    noise = measure(seen)
    signal = 1 - (noise.gain * float(seen.mean()) + noise.offset) / variance if variance > 0 else 0.0
    if signal < LEAST_SIGNAL:
        return None
    return float(min(squirrel(seen, made).rsp / signal**0.5, 1.0))


def _averages(image: NDArray[Any], side_px: int) -> NDArray[np.float32]:
    rows, columns = (size // side_px for size in image.shape)
    cut = image[: rows * side_px, : columns * side_px].astype(np.float32)
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
