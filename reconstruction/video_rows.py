"""Where the stretches of a video lie to each other: rows in files of their own, and what follows a gap.

Each stretch is put together to a small strip by the places measured within it; strips are laid over each other by phase
correlation and verified by the zero-mean NCC of what both cover. A row is many pictures long, so even a thin overlap
of two rows says for sure where they belong, whatever the starting points.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.correlation import peaks, spectra
from reconstruction.strips import Image, high_passed
from reconstruction.video_choice import Chosen
from reconstruction.video_view import correlation_px2

MOST_STRIP_PX = 1_500_000  # a Fourier transform of two takes a second
LEAST_SIDE_PX = 48  # of a picture in a strip
LEAST_SHARED_PX = 6  # of a strip, in either direction
SURE, LEAD = 7.0, 3.0  # standard deviations of the NCC of unrelated strips: of the best place, and over the next
SAME_PLACE_PX = 4  # of a strip
SMOOTHING_PX = 1.2  # of a strip, as of tiles with some noise
USUAL_ROW_OVERLAP = 0.15  # of rows whose distance was neither told nor found
NEAR_FIELDS = 2.0  # how far from where it was told to be a row is sought
Directions = Literal["found", "same", "serpentine"]
Offset = tuple[float, float]  # x, y


@dataclass(frozen=True)
class Layout:
    """What is told of the rows: which way they go, and how far apart they lie (px; negative: upwards)."""

    directions: Directions = "found"
    step_px: float | None = None


@dataclass(frozen=True)
class Stretch:
    """Pictures of one file, each of which was measured against the one before; `numbers` are those of the store."""

    file: int
    chosen: Sequence[Chosen]
    numbers: Sequence[int]

    @property
    def places_px(self) -> NDArray[np.float64]:
        """(pictures, 2) as x, y."""
        return np.array([(each.x_px, each.y_px) for each in self.chosen], dtype=np.float64)


@dataclass(frozen=True)
class Laid:
    """A stretch, and by how much its places are to be moved; whether that was found, or told and guessed."""

    stretch: Stretch
    offset_px: Offset
    found: bool

    def moved(self, x_px: float, y_px: float) -> "Laid":
        """Lay it elsewhere."""
        return replace(self, offset_px=(self.offset_px[0] + x_px, self.offset_px[1] + y_px))

    @property
    def places_px(self) -> NDArray[np.float64]:
        return np.asarray(self.stretch.places_px + np.array(self.offset_px))


Fetch = Callable[[int], NDArray[Any]]


def laid_out(stretches: Sequence[Stretch], shape: tuple[int, int], layout: Layout, fetch: Fetch) -> list[Laid]:
    """Find the place of every stretch against those before it; one that comes later may join what did not meet.

    Args:
        shape: rows, columns of a picture.
        fetch: gives a picture (y, x) by its number in the store.
    """
    if len(stretches) < 2:
        return [Laid(stretch, (0.0, 0.0), found=True) for stretch in stretches]
    laid: list[Laid] = []
    strips: list[_Strip] = []
    islands: list[int] = []  # by number of the first stretch of each; what joins the first of all was found
    shrink = _shrink(stretches, shape)
    for number, stretch in enumerate(stretches):
        strip = _strip(stretch, shape, shrink, fetch)
        expected = _expected(stretch, laid[-1], shape, layout) if laid else (0.0, 0.0)
        told = laid and layout.directions != "found" and stretch.file != laid[-1].stretch.file
        reach_px = NEAR_FIELDS * max(shape) if told else math.inf
        met = _met(strip, expected, reach_px, laid, strips, islands)
        home = min(met, default=number)
        place = met.get(home, expected)
        for island, there in met.items():
            laid = [
                row.moved(place[0] - there[0], place[1] - there[1]) if at == island else row
                for row, at in zip(laid, islands, strict=True)
            ]
        islands = [home if at in met else at for at in islands]
        laid.append(Laid(stretch, place, found=False))
        strips.append(strip)
        islands.append(home)
    return [replace(row, found=at == islands[0]) for row, at in zip(laid, islands, strict=True)]


def _met(
    strip: "_Strip",
    expected: Offset,
    reach_px: float,
    laid: Sequence[Laid],
    strips: Sequence["_Strip"],
    islands: Sequence[int],
) -> dict[int, Offset]:
    """Where a stretch lies to each island that it meets, by its latest stretch."""
    met: dict[int, Offset] = {}
    for other, known, island in zip(reversed(laid), reversed(strips), reversed(islands), strict=True):
        if island in met:
            continue
        ahead = np.subtract(expected, other.offset_px)
        found = _offset(known, strip, (float(ahead[0]), float(ahead[1])), reach_px)
        if found is not None:
            met[island] = other.offset_px[0] + found[0], other.offset_px[1] + found[1]
    return met


def _expected(stretch: Stretch, before: Laid, shape: tuple[int, int], layout: Layout) -> Offset:
    """Where a stretch should lie: behind its gap by the speed, or as the next row."""
    if stretch.file == before.stretch.file:
        return before.offset_px
    ours, theirs = stretch.places_px, before.places_px
    along = int(np.argmax(np.ptp(theirs, axis=0)))
    forth = theirs[-1, along] - theirs[0, along]
    turned = (ours[-1, along] - ours[0, along]) * forth < 0
    starts_at = theirs[-1] if (turned or layout.directions == "serpentine") else theirs[0]
    offset = starts_at - ours[0]
    across = 1 - along
    step_px = layout.step_px or (1 - USUAL_ROW_OVERLAP) * shape[0 if across else 1]
    offset[across] = np.median(theirs[:, across]) + step_px - np.median(ours[:, across])
    return float(offset[0]), float(offset[1])


@dataclass(frozen=True)
class _Strip:
    """`detail` (y, x) of a stretch, `shrink` times smaller, 0 where it shows nothing; its corner is at `origin_px`."""

    detail: Image
    covered: NDArray[np.float32]
    origin_px: NDArray[np.float64]
    shrink: int
    correlation_px2: float


def _shrink(stretches: Sequence[Stretch], shape: tuple[int, int]) -> int:
    largest = max((np.prod(np.ptp(each.places_px, axis=0) + shape[::-1]) for each in stretches), default=1.0)
    wanted = math.ceil(math.sqrt(float(largest) / MOST_STRIP_PX))
    return max(wanted, min(shape) // (2 * LEAST_SIDE_PX), 1)


def _strip(stretch: Stretch, shape: tuple[int, int], shrink: int, fetch: Fetch) -> _Strip:
    rows, columns = (side // shrink for side in shape)
    places = stretch.places_px
    origin = places.min(axis=0)
    corners = np.rint((places - origin) / shrink).astype(int)
    right, bottom = corners.max(axis=0).tolist()
    height, width = bottom + rows, right + columns
    total, covered = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for number, (x, y) in zip(stretch.numbers, corners, strict=True):
        whole = fetch(number)[: rows * shrink, : columns * shrink].astype(np.float32)
        small = high_passed(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
        total[y : y + rows, x : x + columns] += small
        covered[y : y + rows, x : x + columns] += 1
    detail = np.asarray(total / np.maximum(covered, 1), dtype=np.float32)
    return _Strip(detail, (covered > 0).astype(np.float32), origin, shrink, correlation_px2(detail))


def _offset(first: _Strip, second: _Strip, expected: Offset, reach_px: float) -> Offset | None:
    """Find by how much the places of the second are to be moved into the frame of the first; None if it is not sure."""
    # a shift of the strips of 0 puts the origins upon each other
    between = second.origin_px - first.origin_px
    centre = [round((at + step) / first.shrink) for at, step in zip(expected, between, strict=True)][::-1]
    low, high = [], []
    for axis in range(2):
        one, other = first.detail.shape[axis], second.detail.shape[axis]
        reach = one + other if math.isinf(reach_px) else round(reach_px / first.shrink)
        low.append(max(LEAST_SHARED_PX - other, centre[axis] - reach))
        high.append(min(one - LEAST_SHARED_PX, centre[axis] + reach))
    if any(most < least for least, most in zip(low, high, strict=True)):
        return None
    limits = (low[0], low[1]), (high[0], high[1])
    found = peaks(spectra(_padded(first, second), second.detail, *limits), *limits, SMOOTHING_PX)
    worth = sorted(((_sigmas(first, second, shift), shift) for shift in found), reverse=True)
    if not worth or worth[0][0] < SURE:
        return None
    best, (y, x) = worth[0]
    rivals = [sigmas for sigmas, shift in worth[1:] if max(abs(shift[0] - y), abs(shift[1] - x)) > SAME_PLACE_PX]
    if rivals and best - max(rivals) < LEAD:
        return None
    return float(x * first.shrink - between[0]), float(y * first.shrink - between[1])


def _padded(first: _Strip, second: _Strip) -> Image:
    """Give the first room for the second on every side, so that a shift does not come in again at the other end."""
    rows, columns = (one + other for one, other in zip(first.detail.shape, second.detail.shape, strict=True))
    padded = np.zeros((rows, columns), np.float32)
    padded[: first.detail.shape[0], : first.detail.shape[1]] = first.detail
    return padded


def _sigmas(first: _Strip, second: _Strip, shift: tuple[int, int]) -> float:
    """How far the NCC of what both cover stands out of that of unrelated strips, in standard deviations."""
    y, x = shift
    rows = max(0, y), min(first.detail.shape[0], second.detail.shape[0] + y)
    columns = max(0, x), min(first.detail.shape[1], second.detail.shape[1] + x)
    ours = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
    theirs = np.s_[rows[0] - y : rows[1] - y, columns[0] - x : columns[1] - x]
    both = first.covered[ours] * second.covered[theirs]
    shared = float(both.sum())
    if rows[1] - rows[0] < LEAST_SHARED_PX or columns[1] - columns[0] < LEAST_SHARED_PX or shared < 1:
        return 0.0
    one, other = first.detail[ours] * both, second.detail[theirs] * both
    one, other = one - both * (one.sum() / shared), other - both * (other.sum() / shared)
    norm = math.sqrt(float(np.vdot(one, one)) * float(np.vdot(other, other)))
    if norm <= 0:
        return 0.0
    ncc = min(max(float(np.vdot(one, other)) / norm, 0.0), 0.9999)
    independent = max(shared / max(first.correlation_px2, second.correlation_px2), 4.0)
    return math.atanh(ncc) * math.sqrt(independent - 3)
