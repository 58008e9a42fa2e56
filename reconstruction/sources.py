"""Where frames come from: a run store, a video and a folder of tiles are all a `FrameSource`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.registration import Edge
from reconstruction.tile_files import header_of, read_grey
from reconstruction.tile_lists import listed_tiles

BATCH = 16  # tiles a folder hands out at a time


@dataclass(frozen=True)
class Tile:
    """One frame and the place that the stage claims for it.

    `x_px`, `y_px` locate the centre of the top left pixel, in pixels of the source's own frame. `anchor` is false
    where the stage approached against its backlash and the place says nothing about that of the whole mosaic. `take`
    tells the frames of a tile apart that was taken more than once.
    """

    index: int
    name: str
    x_px: float
    y_px: float
    anchor: bool = True
    take: int = 1


class FrameSource(Protocol):
    """Frames of one size and depth, handed out as they arrive."""

    tile_shape: tuple[int, int]  # rows, columns
    dtype: np.dtype[Any]  # uint8 or uint16

    @property
    def pixel_size_um(self) -> float | None:
        """None: unknown."""

    def planned(self) -> list[Tile]:
        """Give every tile expected, `index` being its position in this list."""

    def follow(self) -> Iterator[list[Tile]]:
        """Yield tiles as they arrive and end when no more will; an empty batch only says that the source lives.

        A tile that comes again replaces itself: its nominal place is better known, or it was taken again. `planned`
        and `pixel_size_um` are up to date with the batch.
        """

    def pixels(self, tile: Tile) -> NDArray[Any]:
        """Read one frame (y, x); may be called again at any time."""

    def known_edges(self) -> list[Edge]:
        """Give what an earlier worker measured on this source."""

    def report_edge(self, edge: Edge) -> None:
        """Take note of one measured displacement."""


class TileFolder:
    """A folder with `tiles.csv` or Fiji's `TileConfiguration.txt`; fulfils `FrameSource`.

    Raises:
        InputError: list or tiles are absent, unreadable or unlike each other; nothing was written.
    """

    def __init__(self, path: Path, pixel_size_um: float | None = None) -> None:
        if pixel_size_um is not None and not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
            raise InputError(f"pixel size: {pixel_size_um} um is not above 0")
        self.path = Path(path)
        self.pixel_size_um = pixel_size_um
        listed = listed_tiles(self.path, pixel_size_um)
        self._tiles = [Tile(index, *entry) for index, entry in enumerate(listed)]
        first = header_of(self.path / self._tiles[0].name)
        for tile in self._tiles[1:]:
            header = header_of(self.path / tile.name)
            if header != first:
                raise InputError(f"{self.path / tile.name}: {header}, but {self._tiles[0].name} is {first}")
        self.tile_shape = first.shape
        self.dtype = first.dtype

    def planned(self) -> list[Tile]:
        return list(self._tiles)

    def follow(self) -> Iterator[list[Tile]]:
        for start in range(0, len(self._tiles), BATCH):
            yield self._tiles[start : start + BATCH]

    def pixels(self, tile: Tile) -> NDArray[Any]:
        return read_grey(self.path / tile.name)

    def known_edges(self) -> list[Edge]:
        return []

    def report_edge(self, edge: Edge) -> None:
        """Keep nothing: a folder of tiles belongs to its user."""
