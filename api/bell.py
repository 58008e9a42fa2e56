"""One word to all who wait: rung by any thread, heard by every task of the API."""

import asyncio
from contextlib import suppress


class Bell:
    """Belongs to the loop in which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Future[None] = self._loop.create_future()

    @property
    def next(self) -> "asyncio.Future[None]":
        """Done at the next ring. Whoever looks for news after taking it misses none."""
        return self._next

    def ring(self) -> None:
        """Wake all who wait; from any thread, and at no cost once the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        rung, self._next = self._next, self._loop.create_future()
        rung.set_result(None)
