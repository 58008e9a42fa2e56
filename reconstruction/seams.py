"""What is left in the seams: tiles laid where they were placed, and registered once more on small patches.

An edge says how well two tiles match at their own best shift; this says how well they match at the one that they got,
and everywhere along the seam, which a shift alone cannot do where tiles are distorted.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.placement import PlacedTile, Placement
from reconstruction.sources import Tile
from reconstruction.strip_pair import StripPair, overlap
from reconstruction.threads import threads

MOST_SEAMS = 64  # of the kept ones, evenly spread; a look at more would not change the median
PATCHES = 3  # along a seam
LONGEST_PATCH_PX = 160
LEAST_PATCH_PX = 24
MOST_VARIANCE_PX2 = 0.1**2  # of what is measured; a patch that says less says nothing
REACH_PX = 8  # in each direction; real scanners bend tiles by 3 px
LEAST_SIGNIFICANCE = 5.0  # standard deviations of Fisher's z of a match by chance, of which there are 17 x 17
MOST_NCC = 0.9999

Frame = NDArray[Any]


@dataclass(frozen=True)
class SeamShifts:
    """Shifts left in the seams, px; None where no patch could be measured."""

    patches: int
    median_px: float | None
    p95_px: float | None


def seam_shifts(placement: Placement, pixels: Callable[[Tile], Frame]) -> SeamShifts:
    """Measure the seams of a placement, at most `MOST_SEAMS` of those of its kept edges."""
    kept = sorted(placement.kept)
    chosen = [kept[round(at)] for at in np.linspace(0, len(kept) - 1, min(len(kept), MOST_SEAMS))]
    bend = _bend(placement, pixels, chosen)

    def left_in(seam: tuple[int, int]) -> Sequence[float]:
        a, b = (placement.tiles[end] for end in seam)
        return _left(pixels(a.tile), pixels(b.tile), a, b, bend)

    with ThreadPoolExecutor(threads()) as pool:
        left = [shift_px for found in pool.map(left_in, chosen) for shift_px in found]
    if not left:
        return SeamShifts(0, None, None)
    median, p95 = np.percentile(left, [50, 95])
    return SeamShifts(len(left), float(median), float(p95))


def _bend(
    placement: Placement, pixels: Callable[[Tile], Frame], seams: Sequence[tuple[int, int]]
) -> NDArray[np.float32] | None:
    """By how much each pixel of a tile is displaced, if tiles are distorted."""
    if placement.distortion is None or not seams:
        return None
    rows, columns = pixels(placement.tiles[seams[0][0]].tile).shape
    return placement.distortion.displacement_px((rows, columns))


def _left(
    first: Frame, second: Frame, a: PlacedTile, b: PlacedTile, bend: NDArray[np.float32] | None
) -> Sequence[float]:
    """Measure the shifts that are left on patches of one seam, px."""
    step = np.array([b.x_px - a.x_px, b.y_px - a.y_px])
    whole = np.rint(step).astype(int)
    shift = int(whole[1]), int(whole[0])
    one, other = overlap(first, second, shift)
    if min(one.shape) < LEAST_PATCH_PX:
        return []
    bends = None if bend is None else [overlap(part, part, shift) for part in bend]
    found = []
    for patch in _patches(one.shape):
        measured = _measured(one[patch], other[patch])
        if measured is None:
            continue
        expected = step - whole
        if bends is not None:  # what lies there in the second tile is bent otherwise than in the first
            expected = expected + [float(there[patch].mean() - here[patch].mean()) for here, there in bends]
        found.append(float(np.hypot(*(measured - expected))))
    return found


def _patches(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Spread patches along the longer side of an overlap, across all of the other one or the middle of it."""
    along = int(shape[1] > shape[0])
    length = min(LONGEST_PATCH_PX, shape[along] // PATCHES)
    width = min(LONGEST_PATCH_PX, shape[1 - along])
    across = slice((shape[1 - along] - width) // 2, (shape[1 - along] + width) // 2)
    starts = np.linspace(0, shape[along] - length, PATCHES).astype(int)
    stretches = [slice(int(start), int(start) + length) for start in starts]
    return [(across, part) if along else (part, across) for part in stretches]


def _measured(one: Frame, other: Frame) -> NDArray[np.float64] | None:
    """Measure by how much (x, y) the second patch is displaced; None where it shows too little to say."""
    pair = StripPair(one, other, (-REACH_PX, -REACH_PX), (REACH_PX, REACH_PX))
    found = pair.candidates()
    refined = pair.refined(found[0].shift_px) if found else None
    if refined is None or np.linalg.eigvalsh(refined.covariance_px2)[1] > MOST_VARIANCE_PX2:
        return None
    if math.atanh(min(max(refined.ncc, 0.0), MOST_NCC)) < LEAST_SIGNIFICANCE * pair.chance_deviation(found[0].shift_px):
        return None
    return np.asarray((found[0].shift_px + refined.shift_px)[::-1])
