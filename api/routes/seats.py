"""Seats of those who listen or watch for long: so many in all, and so many for each caller."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Seats:
    """Used by one thread."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken.total()

    def why_not(self, who: str, most: int, most_of_one: int) -> str:
        """Why there is none for him; empty if there is one."""
        if len(self) >= most:
            return f"{most} have a place already"
        return f"{who} has {most_of_one} places already" if self._taken[who] >= most_of_one else ""

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Have one until the block is left."""
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
