"""Places while tiles arrive: now and then of all tiles, and in between only of those near what is new.

The places of a finished scan are those of `place`, whatever was shown before.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reconstruction.common_field import undistorted
from reconstruction.placement import Placement, place, place_undistorted
from reconstruction.registration import Edge
from reconstruction.sources import Tile

GROWTH = 0.2  # of the tiles since all were placed
FEW = 200  # tiles; so many are placed all at once in no time
HOPS = 4  # from a new tile to the farthest that it has a say about; its say fades from hop to hop

Key = tuple[int, int]


class LivePlacement:
    """Follows a scan: give it all tiles and edges so far, again and again."""

    def __init__(self) -> None:
        self._tiles: dict[int, Tile] = {}
        self._edges: dict[Key, Edge] = {}
        self._neighbours: dict[int, tuple[int, ...]] = {}
        self._placement: Placement | None = None
        self._when_all = 0  # tiles, the last time that all of them were placed

    def place(self, tiles: Sequence[Tile], edges: Sequence[Edge]) -> Placement:
        """Place all tiles, close to where `reconstruction.placement.place` does."""
        new = self._take(tiles, edges)
        if self._placement is None or new is None or len(tiles) > max(FEW, (1 + GROWTH) * self._when_all):
            self._placement, self._when_all = place(tiles, edges), len(tiles)
        elif new:
            self._placement = self._near(new, self._placement)
        return self._placement

    def _take(self, tiles: Sequence[Tile], edges: Sequence[Edge]) -> set[int] | None:
        """Remember everything and tell which tiles are new; None where something known has changed."""
        known_tiles, known_edges = self._tiles, self._edges
        self._tiles = {tile.index: tile for tile in tiles}
        self._edges = {(edge.a, edge.b): edge for edge in edges}
        same = all(self._tiles.get(index) is tile for index, tile in known_tiles.items())
        same = same and all(self._edges.get(key) is edge for key, edge in known_edges.items())
        if not same:  # a tile that lies elsewhere has others beside it
            self._neighbours, known_edges = {}, {}
        for a, b in self._edges.keys() - known_edges.keys():
            self._neighbours[a] = (*self._neighbours.get(a, ()), b)
            self._neighbours[b] = (*self._neighbours.get(b, ()), a)
        return self._tiles.keys() - known_tiles.keys() if same else None

    def _near(self, new: set[int], before: Placement) -> Placement:
        """Place what is new and what is near it, and lay that on the places that the tiles around it have."""
        layers = [new]
        while len(layers) <= HOPS:
            layers.append(set().union(*(self._neighbours.get(index, ()) for index in layers[-1])).difference(*layers))
        near = set().union(*layers)
        among = [self._edges[a, b] for a in near for b in near.intersection(self._neighbours.get(a, ())) if a < b]
        if before.distortion:
            among = undistorted(among, before.distortion)
        there = place_undistorted({index: self._tiles[index] for index in sorted(near)}, among)
        rim = layers[-1] or near - new
        if not rim:
            return place(list(self._tiles.values()), list(self._edges.values()))
        moved = [(before.tiles[i].x_px - there.tiles[i].x_px, before.tiles[i].y_px - there.tiles[i].y_px) for i in rim]
        dx, dy = np.median(moved, axis=0).tolist()
        fresh = {
            index: replace(there.tiles[index], x_px=there.tiles[index].x_px + dx, y_px=there.tiles[index].y_px + dy)
            for index in near - rim
        }
        elsewhere = {key for key in before.kept if not (key[0] in near and key[1] in near)}
        return replace(before, tiles=dict(sorted((before.tiles | fresh).items())), kept=there.kept | elsewhere)
