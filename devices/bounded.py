"""Calls into vendor code that may hang: made in a thread of their own, waited for with a deadline."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from devices.errors import DeviceLost, DeviceTimeout, Stopped

T = TypeVar("T")
CLOSE_S = 2.0


class BoundedCalls:
    """One daemon thread that makes the calls in turn; who waits for a hanging one leaves it behind.

    What comes of it late is thrown away. While it hangs, later calls time out too, so vendor code never sees two
    threads at once.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"{name} calls", daemon=True)
        self._closed = False
        self._thread.start()

    def begin(self, function: Callable[[], T]) -> Future[T]:
        """Queue a call and return its future.

        Raises:
            DeviceLost: closed.
        """
        if self._closed:
            raise DeviceLost(self.name, "is closed")
        future: Future[T] = Future()
        self._jobs.put((future, function))
        return future

    def outcome(self, future: Future[T], limit_s: float) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            DeviceTimeout: not finished within `limit_s`; if it had not begun by then, it never will.
            Stopped: another thread gave it up.
        """
        try:
            return future.result(limit_s)
        except TimeoutError:
            if future.done():  # at the last moment, or the error is the call's own
                return future.result()
            future.cancel()
            raise DeviceTimeout(self.name, f"the vendor's library did not return within {limit_s:g} s") from None
        except CancelledError:
            raise Stopped(self.name, "stopped") from None

    def call(self, function: Callable[[], T], limit_s: float) -> T:
        """`begin` and `outcome` in one."""
        return self.outcome(self.begin(function), limit_s)

    def give_up(self, future: Future[Any]) -> None:
        """End the waiting for a call; one that has not begun never will."""
        if not future.cancel():
            with suppress(InvalidStateError):  # it has its outcome
                future.set_exception(Stopped(self.name, "stopped"))

    def close(self) -> None:
        """End the thread, or leave it behind if it hangs; may be called twice."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _make(*job)


def _make(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    with suppress(InvalidStateError):  # somebody has ended the waiting
        try:
            result = function()
        except Exception as error:  # belongs to the thread that waits
            future.set_exception(error)
        else:
            future.set_result(result)
