"""A folder of tiles and the list of where the stage took them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.mislaid import mislaid, moved
from reconstruction.registration import Edge
from reconstruction.sources import BATCH, Tile
from reconstruction.tile_defects import defects
from reconstruction.tile_files import read_grey
from reconstruction.tile_lists import listed_tiles

MOST_NAMED = 5  # tiles that match nobody, in lines of their own


class TileFolder:
    """A folder with `tiles.csv` or Fiji's `TileConfiguration.txt`; fulfils `FrameSource`.

    Tiles that cannot be used (see `tile_defects`) are left out. Tiles that lie under each other's names, or under that
    of one left out, are handed out again at the place that they show, once all edges are known. `remarks` says all that
    in a line each.

    Raises:
        InputError: list or tiles are absent or unreadable, or half of them cannot be used; nothing was written.
    """

    def __init__(self, path: Path, pixel_size_um: float | None = None) -> None:
        if pixel_size_um is not None and not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
            raise InputError(f"pixel size: {pixel_size_um} um is not above 0")
        self.path = Path(path)
        self.pixel_size_um = pixel_size_um
        listed = listed_tiles(self.path, pixel_size_um)
        self._tiles = [Tile(index, *entry) for index, entry in enumerate(listed)]
        self._edges: dict[tuple[int, int], Edge] = {}
        usual, wrong = defects([self.path / tile.name for tile in self._tiles])
        self.left_out = [self._tiles[index] for index in sorted(wrong)]
        self.remarks = [f"{wrong[tile.index]}; left out" for tile in self.left_out]
        self.tile_shape = usual.shape
        self.dtype = usual.dtype

    def planned(self) -> list[Tile]:
        return list(self._tiles)

    def follow(self) -> Iterator[list[Tile]]:
        left_out = {tile.index for tile in self.left_out}
        usable = [tile for tile in self._tiles if tile.index not in left_out]
        for start in range(0, len(usable), BATCH):
            yield usable[start : start + BATCH]
        yield self._put_right(usable)

    def _put_right(self, usable: list[Tile]) -> list[Tile]:
        """Give tiles that turned out to belong elsewhere, at the place where they belong."""
        found = mislaid(usable, list(self._edges.values()), self.left_out, self.pixels)
        again = [moved(self._tiles[index], place) for index, place in sorted(found.belongs.items())]
        for tile in again:
            shown, name = found.belongs[tile.index].name, self.path / tile.name
            self.remarks.append(f"{name}: shows what belongs at the place of {shown}, and matches there; put there")
            self._tiles[tile.index] = tile
        self.remarks += _told(self.path, found.lost, len(self._tiles))
        return again

    def pixels(self, tile: Tile) -> NDArray[Any]:
        return read_grey(self.path / tile.name)

    def known_edges(self) -> list[Edge]:
        return []

    def report_edge(self, edge: Edge) -> None:
        """Remember it for `remarks`; a folder of tiles belongs to its user, so that nothing is written there."""
        self._edges[edge.a, edge.b] = edge


def _told(path: Path, lost: Sequence[tuple[Tile, Tile | None]], of: int) -> list[str]:
    """Say which tiles match nobody, in a line each or, of many, in one."""
    there = "drawn where the list says"
    if len(lost) > MOST_NAMED:
        names = ", ".join(tile.name for tile, _ in lost[:MOST_NAMED])
        many = f"{len(lost)} of {of} tiles match none of their neighbours ({names}, ...)"
        return [f"{path}: {many}; {there}: is it in the order in which they were taken?"]
    return [
        f"{path / tile.name}: "
        + (f"shows the same field as {like.name}" if like else "matches none of its neighbours")
        + f"; {there}"
        for tile, like in lost
    ]
