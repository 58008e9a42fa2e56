"""The clock of a run: the wall clock as it stood when the run was opened, and monotonic time since.

A wall clock that is set meanwhile changes no duration in the journal; a process that opens the run later begins anew.
"""

from datetime import UTC, datetime

from acquisition.clock_check import HOST_CLOCKS, JUMP_S, Clocks


class RunClock:
    """Gives the times of a journal; `jump_s` is for one thread."""

    def __init__(self, clocks: Clocks = HOST_CLOCKS) -> None:
        self._clocks = clocks
        self._ahead_s = self._told_ahead_s = self._wall_ahead_s()

    def now(self) -> str:
        """The time as the journal writes it."""
        return iso_utc(datetime.fromtimestamp(self._ahead_s + self._clocks.monotonic(), UTC))

    def jump_s(self) -> float | None:
        """How far the wall clock was set since it was last asked, positive for ahead; None if it was not."""
        by_s = self._wall_ahead_s() - self._told_ahead_s
        if abs(by_s) <= JUMP_S:
            return None
        self._told_ahead_s += by_s
        return by_s

    def _wall_ahead_s(self) -> float:
        return self._clocks.wall() - self._clocks.monotonic()


def iso_utc(at: datetime) -> str:
    """ISO 8601, microseconds."""
    return at.isoformat(timespec="microseconds")
