"""Two noisy looks at the same place: what the tiles of any scan share where they overlap (Lehtinen et al. 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.neighbours import Neighbourhood
from reconstruction.normalisation import Normalisation
from reconstruction.registration import Edge, register
from reconstruction.sources import FrameSource, Tile

RIM_PX = 3  # that the interpolation would have to make up


@dataclass(frozen=True, eq=False)
class TwoLooks:
    """What two tiles show of one place, both (y, x) in grey values of their frames; the second drawn on the first."""

    first: NDArray[Any]
    second: NDArray[np.float32]
    normalisation: Normalisation
    """Of the whole first frame."""


def overlaps(source: FrameSource, least_px: int) -> Iterator[TwoLooks]:
    """Yield overlaps of at least `least_px` along both sides, of tiles that could be registered; each both ways round.

    Displacements come from the run's own edges, or are measured where it has none.
    """
    known = {(edge.a, edge.b): edge for edge in source.known_edges()}
    neighbourhood = Neighbourhood(source.tile_shape)
    for tile in _tiles(source):
        for other in neighbourhood.add(tile):
            yield from _both_ways(source, other, tile, known, least_px)


def _tiles(source: FrameSource) -> list[Tile]:
    """Every tile once, at the place that was told last."""
    latest = {tile.index: tile for batch in source.follow() for tile in batch}
    return [latest[index] for index in sorted(latest)]


def _both_ways(
    source: FrameSource, a: Tile, b: Tile, known: dict[tuple[int, int], Edge], least_px: int
) -> Iterator[TwoLooks]:
    first, second = source.pixels(a), source.pixels(b)
    edge = known.get((a.index, b.index)) or register(
        a.index, b.index, first, second, (b.x_px - a.x_px, b.y_px - a.y_px)
    )
    if not edge.accepted:
        return
    for one, other, dx_px, dy_px in (
        (first, second, edge.dx_px, edge.dy_px),
        (second, first, -edge.dx_px, -edge.dy_px),
    ):
        looks = _looks(one, other, dx_px, dy_px)
        if min(looks.first.shape) >= least_px:
            yield looks


def _looks(one: NDArray[Any], other: NDArray[Any], dx_px: float, dy_px: float) -> TwoLooks:
    """Cut the overlap out of `one`, and draw `other`, which lies (dx, dy) from it, on the same pixels."""
    rows, columns = one.shape
    to_other = np.array([[1, 0, -dx_px], [0, 1, -dy_px]], np.float64)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(other.astype(np.float32), to_other, (columns, rows), flags=flags)
    inner = _span(dy_px, rows), _span(dx_px, columns)
    return TwoLooks(one[inner], np.asarray(drawn[inner], np.float32), Normalisation.of(one))


def _span(shift_px: float, size: int) -> slice:
    """Which pixels of one the other covers, less a rim."""
    start, stop = int(np.ceil(max(shift_px, 0))), int(np.floor(min(size + shift_px, size)))
    return slice(start + RIM_PX, max(stop - RIM_PX, start + RIM_PX))
