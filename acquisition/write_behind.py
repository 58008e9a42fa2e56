"""A writing thread, so that the scanner moves on while the last frame goes to the disk."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from acquisition.frame_array import EncodedFrame
from acquisition.journal import Attempt

Pixels = NDArray[np.uint16] | None
Storable = NDArray[np.uint16] | EncodedFrame

ENCODERS = 2  # a core takes twice as long to compress a frame as a fast disk takes to write it
DEPTH = ENCODERS + 1  # attempts that are not written yet; a slow disk slows the scan instead of filling the memory
LONGEST_S = 60.0  # for a wait; a network disk that fails over is back by then
LOOK_S = 0.05  # how often a wait asks whether it is still wanted


class WriteBehind:
    """Encodes frames, two at a time, and hands each with its attempt to `write`: in their order, from one thread.

    An error of `write` is raised by the calls below until `retry` lets the same attempt be written again; those
    behind it wait. Leaving waits until all are written; what cannot be written then is given up, and told.
    """

    def __init__(
        self,
        write: Callable[[Attempt, Storable | None], Attempt],
        written: Callable[[Attempt], None],
        encode: Callable[[NDArray[np.uint16]], Storable] = lambda pixels: pixels,
    ) -> None:
        self._write = write
        self._written = written
        self._encode = encode
        self._waiting: deque[tuple[Attempt, Future[Storable] | None]] = deque()
        self._error: Exception | None = None
        self._leaving = False
        self._changed = threading.Condition()
        self._encoders = ThreadPoolExecutor(ENCODERS, "encoder")
        self._thread = threading.Thread(target=self._work, name="write-behind", daemon=True)

    def put(self, attempt: Attempt, pixels: Pixels) -> None:
        """Queue one attempt; waits while the disk is `DEPTH` attempts behind.

        Raises:
            OSError: an attempt before it could not be stored, or not within `LONGEST_S`; this one is not queued.
        """
        self._wait(lambda: len(self._waiting) < DEPTH)
        frame = None if pixels is None else self._encoders.submit(self._encode, pixels)
        with self._changed:
            self._waiting.append((attempt, frame))
            self._changed.notify_all()

    def wait_written(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Return once everything that was put is durable, or once `given_up` says that nobody waits any longer.

        Raises:
            OSError: something could not be stored, or not within `LONGEST_S`.
        """
        self._wait(lambda: not self._waiting or given_up())

    def retry(self) -> None:
        """Try again to write what could not be stored."""
        with self._changed:
            self._error = None
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure: Exception | None = None
        try:
            self.wait_written()
        except Exception as unwritten:
            failure = unwritten
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
        self._thread.join(LONGEST_S)
        self._encoders.shutdown(cancel_futures=True)
        failure = failure or self._error
        if failure is not None and error is None:
            raise failure

    def _wait(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONGEST_S
        with self._changed:
            while not self._changed.wait_for(lambda: reached() or self._error is not None, LOOK_S):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(self._waiting)} attempts are not written after {LONGEST_S:g} s")
            if self._error is not None:
                raise self._error

    def _work(self) -> None:
        while (item := self._next()) is not None:
            attempt, frame = item
            try:
                stored = self._write(attempt, frame.result() if frame else None)
                with self._changed:
                    self._waiting.popleft()
                    self._changed.notify_all()
                self._written(stored)
            except Exception as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()

    def _next(self) -> tuple[Attempt, Future[Storable] | None] | None:
        """The attempt to write now, once there is one; None when nothing is to be written any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._leaving or (self._waiting and self._error is None))
            return None if self._leaving else self._waiting[0]
