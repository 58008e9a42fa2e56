"""Edges of printed lines in a picture, a place a row: what critical dimension and roughness are made of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_image

SMOOTHING_PX = 1.5  # across the line; never along it, where it would eat roughness
LEAST_DISTANCE_PX = 4.0  # between edges; closer ones are noise
OUTLIER_MAD = 4.0
PARTS = 16  # of an image, that lines run through
LEAST_ALIKE = 0.3  # of the variance across, between those; straight lines have all of it, noise a 16th
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, eq=False)
class LineEdges:
    """Both edges of each line in each row, px, (lines, rows); a tilt common to both edges of a line is taken out."""

    left_px: Image
    right_px: Image


def line_edges(image: NDArray[Any], bright: bool = True) -> LineEdges:
    """Find the lines that run along y through an image (y, x), from rim to rim.

    Where the mean profile crosses the middle of its grey values there are edges. Around each, every row is smoothed
    across (1.5 px) and the place taken where it crosses the middle of its own lowest and highest value, between pixels
    by a straight line. Rows that are off by more than 4 deviations (MAD) are bridged.

    Args:
        bright: whether the lines are brighter than the spaces.

    Raises:
        InputError: no line lies in the image as a whole, or what it shows does not run along y.
    """
    values = as_image(image) if bright else -as_image(image)
    smooth = ndimage.gaussian_filter1d(values, SMOOTHING_PX, axis=1, mode="nearest")
    _refuse_other_images(smooth)
    rising, falling = _mean_edges(smooth.mean(axis=0))
    pairs = [(left, min(falling[falling > left])) for left in rising if (falling > left).any()]
    pairs = [pair for i, pair in enumerate(pairs) if i + 1 == len(pairs) or pairs[i + 1][0] > pair[1]]
    if not pairs:
        raise InputError("image: no whole line that runs along y, edge by edge")
    every = np.sort(np.concatenate([rising, falling]))
    left, right = [], []
    for at_left, at_right in pairs:
        one = _followed(smooth, at_left, every, 1.0)
        other = _followed(smooth, at_right, every, -1.0)
        tilt = _tilt((one + other) / 2)
        left.append(one - tilt)
        right.append(other - tilt)
    return LineEdges(np.array(left), np.array(right))


def _refuse_other_images(smooth: Image) -> None:
    """Refuse images of other things: the mean of all rows shows of them hardly what the mean of some rows does."""
    parts = np.stack([part.mean(axis=0) for part in np.array_split(smooth, min(PARTS, len(smooth)))])
    within = float(parts.var(axis=1).mean())
    alike = float(smooth.mean(axis=0).var()) / within if within > 0 else 0.0
    if alike < LEAST_ALIKE:
        raise InputError(
            f"image: no lines along y: its rows have {alike:.0%} in common, lines at least {LEAST_ALIKE:.0%}"
        )


def _mean_edges(profile: Image) -> tuple[Image, Image]:
    """Where a profile rises through the middle of its grey values, and where it falls, px."""
    middle = (profile.min() + profile.max()) / 2
    above = profile > middle
    at = np.flatnonzero(above[1:] != above[:-1])
    places = at + (middle - profile[at]) / (profile[at + 1] - profile[at])
    return places[~above[at]], places[above[at]]


def _followed(smooth: Image, mean_px: float, every: Image, sign: float) -> Image:
    """Place of one edge in each row; `sign` 1: it rises."""
    others = np.abs(every - mean_px)
    reach = float(others[others > LEAST_DISTANCE_PX].min(initial=smooth.shape[1])) / 2
    first, last = max(0, round(mean_px - reach)), min(smooth.shape[1] - 1, round(mean_px + reach))
    part = sign * smooth[:, first : last + 1]
    middle = (part.min(axis=1) + part.max(axis=1))[:, None] / 2
    crosses = (part[:, :-1] <= middle) & (part[:, 1:] > middle)
    columns = np.arange(part.shape[1] - 1)
    steps = np.where(crosses, part[:, 1:] - part[:, :-1], 1.0)
    places = first + columns + (middle - part[:, :-1]) / steps
    away = np.where(crosses, np.abs(places - mean_px), np.inf)
    nearest = away.argmin(axis=1)
    rows = np.arange(len(smooth))
    return _bridged(np.where(np.isfinite(away[rows, nearest]), places[rows, nearest], np.nan))


def _bridged(places: Image) -> Image:
    """Replace what is missing or far off by a straight line between its neighbours."""
    middle = np.nanmedian(places)
    spread = MAD_TO_SIGMA * np.nanmedian(np.abs(places - middle))
    good = np.isfinite(places) & (np.abs(places - middle) <= OUTLIER_MAD * max(spread, 1e-9))
    rows = np.arange(len(places))
    return np.asarray(np.interp(rows, rows[good], places[good]))


def _tilt(places: Image) -> Image:
    """The straight line through the places of a line, less its mean."""
    rows = np.arange(len(places)) - (len(places) - 1) / 2
    return np.asarray(rows * (rows @ places) / (rows @ rows))
