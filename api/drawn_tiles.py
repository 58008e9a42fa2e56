"""Tiles of mosaics as they are sent, each drawn once for all who look.

What is in memory is drawn at once, in less time than another thread takes to begin; only the disk is waited for there.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from api.display_range import as_shown, display_range, range_of
from reconstruction.mosaic_tiles import TILE_PX, tile

QUALITY = 85  # of 100; beyond that a JPEG of camera noise doubles in size
MOST_KEPT = 512  # JPEGs of some 20 kB
NOTHING = b""  # was drawn there, of a block that was


class Tile(NamedTuple):
    """Of a run's mosaic, or another one that was made of the run; `version` tells it from what was there before."""

    run: Path
    mosaic: Path
    layer: str
    level: int
    row: int
    column: int
    version: str


class DrawnTiles:
    """Used by the thread of the event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Tile, bytes] = OrderedDict()
        self._drawing: dict[Tile, asyncio.Task[bytes | None]] = {}
        self._shown: dict[Path, tuple[int, int]] = {}

    async def get(self, wanted: Tile) -> bytes | None:
        """A tile as JPEG; None: there is nothing there yet."""
        if (kept := self._kept.get(wanted)) is not None:
            self._kept.move_to_end(wanted)
            return kept or None
        drawing, shown = self._drawing.get(wanted), self._shown.get(wanted.run)
        if drawing is None and shown is not None:
            with suppress(BlockingIOError):
                return self._keep(wanted, _drawn(wanted, shown, may_wait=False)) or None
        if drawing is None:
            drawing = self._drawing[wanted] = asyncio.create_task(self._draw(wanted))
        return await asyncio.shield(drawing) or None  # others may wait for it

    async def _draw(self, wanted: Tile) -> bytes | None:
        try:
            shown = await asyncio.to_thread(display_range, wanted.run)
            if shown is None:
                return None
            self._shown[wanted.run] = shown
            return self._keep(wanted, await asyncio.to_thread(_drawn, wanted, shown))
        finally:
            del self._drawing[wanted]

    def _keep(self, wanted: Tile, drawn: bytes) -> bytes:
        self._kept[wanted] = drawn
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return drawn


@cache
def black() -> bytes:
    """What a tile looks like where there is none."""
    return _jpeg(np.zeros((TILE_PX, TILE_PX), np.uint8))


def _drawn(wanted: Tile, shown: tuple[int, int], may_wait: bool = True) -> bytes:
    pixels = tile(wanted.mosaic, wanted.layer, wanted.level, wanted.row, wanted.column, may_wait)
    return NOTHING if pixels is None else _jpeg(as_shown(pixels, *range_of(wanted.layer, *shown)))


def _jpeg(grey: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
