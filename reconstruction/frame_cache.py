"""Frames kept in memory up to a number of bytes; the least recently used go first."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from reconstruction.sources import Tile


class FrameCache:
    """Frames of tiles, fetched when they are not at hand."""

    def __init__(self, fetch: Callable[[Tile], NDArray[Any]], limit_bytes: int) -> None:
        self._fetch = fetch
        self.limit_bytes = limit_bytes
        self._held_bytes = 0
        self._frames: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()

    def get(self, tile: Tile) -> NDArray[Any]:
        """Return a frame (y, x), not to be written to."""
        key = tile.index, tile.take
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        frame = self._fetch(tile)
        self._frames[key] = frame
        self._held_bytes += frame.nbytes
        while self._held_bytes > self.limit_bytes and len(self._frames) > 1:
            self._held_bytes -= self._frames.popitem(last=False)[1].nbytes
        return frame
