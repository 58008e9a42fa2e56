"""Places of tiles while they arrive: all are placed together as often as it is worth, in the background.

In between, a tile lies beside its neighbours.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np

from reconstruction.brightness import Brightness
from reconstruction.placement import PlacedTile, Placement
from reconstruction.registration import Edge
from reconstruction.sources import Tile

SOLVE_SHARE = 5.0  # times as long as the last solution took, between two of them

Arrived = tuple[Tile, Sequence[Edge]]  # a tile, and its edges to those before it
Solution = tuple[Placement, Brightness]


class LivePlaces:
    """The last solution for all tiles, and the tiles since then."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._solved: Solution | None = None
        self._since: dict[int, Arrived] = {}  # the last solution was begun
        self._running: Future[Solution] | None = None
        self._later: dict[int, Arrived] = {}  # than the running one was begun
        self._began_s = self._next_s = 0.0

    def arrived(self, tiles: Mapping[int, Arrived], again: bool) -> None:
        """Take note of tiles; if some of them came again, nothing that was known before holds."""
        if again:
            self.end()
            self._solved, self._since, self._later = None, {}, {}
        self._since |= tiles
        self._later |= tiles

    def known(self, solution: Callable[[], Callable[[], Solution]]) -> Solution:
        """Give places and brightness as they are known by now.

        Args:
            solution: captures what is here now; what it returns may run while more arrives.
        """
        if self._running is not None and self._running.done():
            self._solved, self._running, self._since = self._running.result(), None, self._later
            self._next_s = time.perf_counter() + SOLVE_SHARE * (time.perf_counter() - self._began_s)
        if self._solved is None:
            self._solved, self._since = solution()(), {}
        elif self._running is None and time.perf_counter() >= self._next_s:
            self._later, self._began_s = {}, time.perf_counter()
            self._running = self._pool.submit(solution())
        placement, brightness = self._solved
        return extended(placement, self._since.values()), brightness

    def end(self) -> None:
        """Wait for what runs in the background, and forget it."""
        if self._running is not None:
            self._running.result()
            self._running = None


def extended(placement: Placement, arrived: Iterable[Arrived]) -> Placement:
    """Add tiles where their accepted edges to those before them say, or as far off the stage's word as the last one."""
    tiles = dict(placement.tiles)
    off_px = np.zeros(2)
    for tile, edges in arrived:
        nominal_px = np.array([tile.x_px, tile.y_px])
        said_px = [
            (tiles[other].x_px + sign * edge.dx_px, tiles[other].y_px + sign * edge.dy_px)
            for edge in edges
            for other, sign in [(edge.a, 1) if edge.b == tile.index else (edge.b, -1)]
            if edge.accepted and other in tiles
        ]
        place_px = np.median(said_px, axis=0) if said_px else nominal_px + off_px
        off_px = place_px - nominal_px
        tiles[tile.index] = PlacedTile(tile, float(place_px[0]), float(place_px[1]), "stage", 0.0)
    return replace(placement, tiles=tiles)
