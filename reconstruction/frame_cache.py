"""Keep the images of tiles that were used last, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from numpy.typing import NDArray

from reconstruction.sources import Tile


class Frames(Protocol):
    """Images of tiles, from any thread."""

    @property
    def limit_bytes(self) -> int:
        """How much is kept, at most."""

    def get(self, tile: Tile) -> NDArray[Any]:
        """Return an image (y, x), not to be written to."""

    def has(self, tile: Tile) -> bool:
        """Whether it would be returned at once."""


class FrameCache:
    """Images of tiles, fetched when they are not at hand; may be asked from any thread."""

    def __init__(self, fetch: Callable[[Tile], NDArray[Any]], limit_bytes: int) -> None:
        self._fetch = fetch
        self.limit_bytes = limit_bytes
        self._held_bytes = 0
        self._frames: OrderedDict[tuple[int, int], Future[NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tile: Tile) -> NDArray[Any]:
        """Return an image (y, x), not to be written to; who asks while it is being fetched waits for it."""
        key = tile.index, tile.take
        with self._lock:
            asked = self._frames.get(key)
            if asked is not None:
                self._frames.move_to_end(key)
            else:
                mine = self._frames[key] = Future()
        if asked is not None:
            return asked.result()
        try:
            mine.set_result(self._fetch(tile))
        except BaseException as error:
            mine.set_exception(error)
            with self._lock:
                del self._frames[key]
            raise
        with self._lock:
            self._held_bytes += mine.result().nbytes
            self._make_room()
        return mine.result()

    def has(self, tile: Tile) -> bool:
        with self._lock:
            asked = self._frames.get((tile.index, tile.take))
            return asked is not None and asked.done()

    def _make_room(self) -> None:
        """Let go of what was not used for the longest time, except for what is still being fetched."""
        for key in list(self._frames):
            if self._held_bytes <= self.limit_bytes or len(self._frames) == 1:
                return
            if self._frames[key].done():
                self._held_bytes -= self._frames.pop(key).result().nbytes


class Channel:
    """One of the images that a cache keeps together, stacked, for each tile; fulfils `Frames`."""

    def __init__(self, stacks: FrameCache, index: int) -> None:
        self._stacks = stacks
        self._index = index

    def get(self, tile: Tile) -> NDArray[Any]:
        image: NDArray[Any] = self._stacks.get(tile)[self._index]
        return image

    def has(self, tile: Tile) -> bool:
        return self._stacks.has(tile)

    @property
    def limit_bytes(self) -> int:
        return self._stacks.limit_bytes
