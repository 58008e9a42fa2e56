"""Does a restored frame, blurred, still explain the frame that it was made of? What it cannot explain was invented.

One number for all of a tile, and the place where the two differ most (see `local_misfit`): a few particles that were
drawn in or taken away hardly change the first.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.noise import measure

if TYPE_CHECKING:
    from reconstruction.local_misfit import Misfit

BIN_PX = 4  # square of pixels that are averaged: noise falls to a quarter, what matters in a picture stays
LEAST_AGREEMENT = 0.9  # below, a tile is doubtful
LEAST_SIGNAL = 0.3  # of the variance of the averages; with less there is nothing to agree with
LEAST_BINS = 4  # of a frame, along each axis


@dataclass(frozen=True)
class Consistency:
    """How far a restored tile explains its frame; None: it shows nothing but noise, or is too small to tell."""

    agreement: float | None
    misfit: "Misfit | None" = None

    @property
    def doubtful(self) -> bool:
        """Whether somebody should look at the tile, or take it again."""
        disagrees = self.agreement is not None and self.agreement < LEAST_AGREEMENT
        return disagrees or (self.misfit is not None and self.misfit.stands_out)


def consistency(frame: NDArray[Any], restored: NDArray[Any], scale: int = 1) -> Consistency:
    """Compare a frame (y, x) with its restored self of `scale` times the shape."""
    from reconstruction.local_misfit import local_misfit  # with special functions, for restored frames alone

    return Consistency(agreement(frame, restored, scale), local_misfit(frame, restored))


def agreement(frame: NDArray[Any], restored: NDArray[Any], scale: int = 1) -> float | None:
    """Correlate a frame (y, x) with its restored self, blurred to fit; 1 is full agreement, None: all is noise,
    or the frame too small to tell.

    `restored` has `scale` times the shape of the frame.

    Resolution-scaled Pearson coefficient (Culley et al. 2018) of averages over squares of `BIN_PX`, divided by what
    noise leaves of it at best (Spearman 1904), so that the noise of the frame counts for nothing.
    """
    from reconstruction.metrics.squirrel import squirrel  # with optimisation and filters, for restored frames alone

    if min(frame.shape) < LEAST_BINS * BIN_PX:
        return None

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
