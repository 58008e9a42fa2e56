"""Restore frames as they arrive, beside everything else: nothing waits for a network that is slower than a scan."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from reconstruction.frame_cache import Frames
from reconstruction.sources import Tile


class RestoreAhead:
    """Fetches images of tiles into their cache, in the order in which they were named."""

    def __init__(self, frames: Frames, threads: int) -> None:
        self._frames = frames
        self._pool = ThreadPoolExecutor(threads, "restore ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, tiles: Iterable[Tile]) -> None:
        """Fetch these, too; what fails is told to whoever asks for the image in the end."""
        for tile in tiles:
            self._pool.submit(self._frames.get, tile)
