"""Turns of what takes long: one at a time, whoever asks, and nobody has many others wait behind him."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from api.access.refused import Refused

MOST_OF_ONE = 4  # under way and waiting: a page or two, and a script
MOST = 16


class Turns:
    """Used by one thread."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asking: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Wait until it is one's turn, and have it until the block is left.

        Raises:
            Refused: too many wait already.
        """
        if self._asking[who] >= MOST_OF_ONE or self._asking.total() >= MOST:
            said = f"{self._asking[who]} requests of {who} wait for their turn, of {self._asking.total()} in all"
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, f"{said}; again in 1 s", {"Retry-After": "1"})
        self._asking[who] += 1
        try:
            async with self._lock:
                yield
        finally:
            self._asking[who] -= 1
            if not self._asking[who]:
                del self._asking[who]
