"""Where frames come from: a run store, a video and a folder of tiles are all a `FrameSource`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import Edge

BATCH = 16  # tiles that a source which has them all hands out at a time


@dataclass(frozen=True, slots=True)
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
        """Read one frame (y, x); may be called again at any time, and from several threads at once."""

    def known_edges(self) -> list[Edge]:
        """Give what an earlier worker measured on this source."""

    def report_edge(self, edge: Edge) -> None:
        """Take note of one measured displacement."""
