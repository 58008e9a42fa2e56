"""Which blocks of a mosaic need to be drawn, and their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Block, Canvas, whole
from reconstruction.frame_cache import FrameCache
from reconstruction.fusion import blend
from reconstruction.mosaic import Mosaic
from reconstruction.placement import PlacedTile
from reconstruction.sources import Tile

Spot = tuple[int, int, int, int]  # tile index and take, whole-pixel x and y
Signature = tuple[Spot, ...]  # what a block was drawn from; the same signature gives the same bytes


@dataclass(frozen=True)
class Layers:
    """Where the frames of each layer come from; `same` says that restored frames equal the raw ones."""

    raw: FrameCache
    restored: FrameCache
    same: bool

    def allow(self, limit_bytes: int) -> None:
        """Let each layer keep so much."""
        self.raw.limit_bytes = self.restored.limit_bytes = limit_bytes


class Drawing:
    """Keeps a mosaic in step with the places of its tiles."""

    def __init__(self, mosaic: Mosaic, layers: Layers, tile_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.mosaic = mosaic
        self._layers = layers
        self._tile_shape = tile_shape
        self._dtype = dtype
        self._tiles: dict[int, Tile] = {}
        self._drawn: dict[Block, Signature] = {}
        if not mosaic.reopened:
            self._drawn = dict.fromkeys(mosaic.canvas.blocks(), ())

    def update(self, placed: Mapping[int, PlacedTile], tolerance_px: int = 0) -> int:
        """Draw every block whose tiles changed or moved by more than the tolerance; return how many."""
        self._tiles = {index: entry.tile for index, entry in placed.items()}
        wanted = signatures(placed, self.mosaic.canvas, self._tile_shape)
        dirty = {
            block
            for block in self.mosaic.canvas.blocks()
            if not _alike(self._drawn.get(block), wanted.get(block, ()), tolerance_px)
        }
        if tolerance_px:  # while the scan goes on, leave alone what an earlier worker drew and nothing here covers
            dirty = {block for block in dirty if block in wanted or block in self._drawn}
        self.mosaic.update(dirty, lambda block: self._draw(block, wanted.get(block, ())))
        return len(dirty)

    def _draw(self, block: Block, signature: Signature) -> list[NDArray[Any]]:
        box = self.mosaic.canvas.box(block)
        raw = self._blended(box, signature, self._layers.raw)
        restored = raw if self._layers.same else self._blended(box, signature, self._layers.restored)
        self._drawn[block] = signature
        return [raw, restored]

    def _blended(self, box: Canvas, signature: Signature, frames: FrameCache) -> NDArray[Any]:
        return blend(box, ((x, y, frames.get(self._tiles[index])) for index, _, x, y in signature), self._dtype)


def signatures(placed: Mapping[int, PlacedTile], canvas: Canvas, tile_shape: tuple[int, int]) -> dict[Block, Signature]:
    """Tell for every covered block which tiles touch it, by ascending index."""
    found: dict[Block, list[Spot]] = {}
    for index in sorted(placed):
        x, y = whole(placed[index].x_px), whole(placed[index].y_px)
        for block in canvas.touched_by(Canvas(x, y, tile_shape[1], tile_shape[0])):
            found.setdefault(block, []).append((index, placed[index].tile.take, x, y))
    return {block: tuple(spots) for block, spots in found.items()}


def _alike(drawn: Signature | None, wanted: Signature, tolerance_px: int) -> bool:
    if drawn is None or len(drawn) != len(wanted):
        return False
    return all(
        old[:2] == new[:2] and max(abs(old[2] - new[2]), abs(old[3] - new[3])) <= tolerance_px
        for old, new in zip(drawn, wanted, strict=True)
    )
