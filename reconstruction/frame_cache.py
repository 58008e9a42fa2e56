"""Keep the images of tiles that were used last, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

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


Wanted = TypeVar("Wanted")


class ImageCache(Generic[Wanted]):
    """Images, made when they are not at hand; may be asked from any thread."""

    def __init__(
        self, make: Callable[[Wanted], NDArray[Any]], key: Callable[[Wanted], Hashable], limit_bytes: int
    ) -> None:
        self._make = make
        self._key = key
        self.limit_bytes = limit_bytes
        self._held_bytes = 0
        self._images: OrderedDict[Hashable, Future[NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, wanted: Wanted) -> NDArray[Any]:
        """Return an image (y, x), not to be written to; who asks while it is being made waits for it."""
        key = self._key(wanted)
        with self._lock:
            asked = self._images.get(key)
            if asked is not None:
                self._images.move_to_end(key)
            else:
                mine = self._images[key] = Future()
        if asked is not None:
            return asked.result()
        try:
            mine.set_result(self._make(wanted))
        except BaseException as error:
            mine.set_exception(error)
            with self._lock:
                del self._images[key]
            raise
        with self._lock:
            self._held_bytes += mine.result().nbytes
            self._make_room()
        return mine.result()

    def has(self, wanted: Wanted) -> bool:
        with self._lock:
            asked = self._images.get(self._key(wanted))
            return asked is not None and asked.done()

    def _make_room(self) -> None:
        """Let go of what was not used for the longest time, except for what is still being fetched."""
        for key in list(self._images):
            if self._held_bytes <= self.limit_bytes or len(self._images) == 1:
                return
            if self._images[key].done():
                self._held_bytes -= self._images.pop(key).result().nbytes


class FrameCache(ImageCache[Tile]):
    """Images of tiles, fetched when they are not at hand."""

    def __init__(self, fetch: Callable[[Tile], NDArray[Any]], limit_bytes: int) -> None:
        super().__init__(fetch, lambda tile: (tile.index, tile.take), limit_bytes)


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
