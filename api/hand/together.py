"""Asking once for all who want to know at the same time: a device that is silent is waited for once, not by each."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Together(Generic[Found]):
    """May be used by any thread."""

    def __init__(self) -> None:
        self._one_asks = threading.Lock()
        self._last: tuple[float, Found] | None = None

    def ask(self, question: Callable[[], Found]) -> Found:
        """The answer to a question that was asked after this call began, by this thread or another one."""
        wanted_s = time.monotonic()
        with self._one_asks:
            if self._last is None or self._last[0] <= wanted_s:
                asked_s = time.monotonic()
                self._last = asked_s, question()
            return self._last[1]
