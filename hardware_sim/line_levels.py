"""The levels of one digital output through time."""

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Levels:
    """When a line becomes active and when it is at rest again, past and announced; at rest to begin with."""

    def __init__(self) -> None:
        self._changes: list[tuple[float, bool]] = []

    def announce(self, changes: Iterable[tuple[float, bool]]) -> None:
        """Take in changes (time, whether active from then on); of two at one time the one told last counts."""
        self._changes.extend(changes)
        self._changes.sort(key=lambda change: change[0])

    def take_back(self, after_s: float) -> None:
        """Forget the changes that lie later."""
        del self._changes[bisect_right(self._changes, after_s, key=lambda change: change[0]) :]

    def sampled(self, times_s: NDArray[np.float64], sample_s: float) -> NDArray[np.float64]:
        """Return 1 for each time (n,) at which the line is active or became so within `sample_s` before, else 0.

        So no pulse is lost, however short.
        """
        changes_s = np.array([time_s for time_s, _ in self._changes])
        active = np.array([False, *(is_active for _, is_active in self._changes)])
        rises_s = changes_s[active[1:]]
        levels = active[np.searchsorted(changes_s, times_s, side="right")]
        rose = np.searchsorted(rises_s, times_s, side="right") > np.searchsorted(
            rises_s, times_s - sample_s, side="right"
        )
        return (levels | rose).astype(np.float64)
