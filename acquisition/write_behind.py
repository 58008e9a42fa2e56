"""A writing thread, so that the scanner moves on while the last frame goes to the disk."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from acquisition.journal import Attempt

Pixels = NDArray[np.uint16] | None
DEPTH = 2  # frames that wait for the one being written; a slow disk slows the scan instead of filling the memory


class WriteBehind:
    """Hands attempts to `write` in their order, from one thread; leaving it waits until all are written.

    An error of `write` is raised by the next `put`, or on leaving; nothing is written after it.
    """

    def __init__(self, write: Callable[[Attempt, Pixels], Attempt], written: Callable[[Attempt], None]) -> None:
        self._write = write
        self._written = written
        self._queue: queue.Queue[tuple[Attempt, Pixels] | None] = queue.Queue(DEPTH)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="write-behind")

    def put(self, attempt: Attempt, pixels: Pixels) -> None:
        """Queue one attempt; waits while the disk is `DEPTH` frames behind."""
        if self._error is not None:
            raise self._error
        self._queue.put((attempt, pixels))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # keep emptying the queue, so that nobody waits for a thread that gave up
            try:
                self._written(self._write(*item))
            except Exception as error:
                self._error = error
