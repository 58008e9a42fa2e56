"""A writing thread, so that the scanner moves on while the last frame goes to the disk."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from acquisition.frame_array import EncodedFrame
from acquisition.journal import Attempt

Pixels = NDArray[np.uint16] | None
Storable = NDArray[np.uint16] | EncodedFrame

DEPTH = 8
"""Attempts that are not written yet: some are encoded while others are written. A slow disk slows the scan instead of
filling the memory."""
LONGEST_S = 60.0  # for a wait; a network disk that fails over is back by then
LOOK_S = 0.05  # how often a wait asks whether it is still wanted


class WriteBehind:
    """Encodes frames, `encoders` at a time, and hands them with their attempts to `write`: in order, from one thread.

    What is encoded while the disk is busy is written together: one wait for the disk, and one commit. An error of
    `write` is raised by the calls below until `retry` lets the same attempts be written again; those behind them
    wait. Leaving waits until all are written; what cannot be written then is given up, and told.
    """

    def __init__(
        self,
        write: Callable[[Sequence[tuple[Attempt, Storable | None]]], list[Attempt]],
        written: Callable[[Attempt], None],
        encode: Callable[[NDArray[np.uint16]], Storable] = lambda pixels: pixels,
        encoders: int = 1,
    ) -> None:
        self._write = write
        self._written = written
        self._encode = encode
        self._waiting: deque[tuple[Attempt, Future[Storable] | None]] = deque()
        self._error: Exception | None = None
        self._leaving = False
        self._changed = threading.Condition()
        self._encoders = ThreadPoolExecutor(encoders, "encoder")
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
        while batch := self._next():
            try:
                stored = self._write([(attempt, frame.result() if frame else None) for attempt, frame in batch])
                with self._changed:
                    for _ in batch:
                        self._waiting.popleft()
                    self._changed.notify_all()
                for attempt in stored:
                    self._written(attempt)
            except Exception as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()

    def _next(self) -> list[tuple[Attempt, Future[Storable] | None]]:
        """The attempts to write now, once the first of them is encoded; none when nothing is to be written any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._leaving or (self._waiting and self._error is None))
            if self._leaving:
                return []
            first, *others = self._waiting
        return [first, *takewhile(lambda item: item[1] is None or item[1].done(), others)]
