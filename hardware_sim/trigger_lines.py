"""The trigger lines from the scanner's controller to the camera: rising edges, at exact world times."""

import threading
from bisect import bisect_right, insort
from collections.abc import Iterable

from hardware_sim.clock import Clock

LINES = (1, 2, 3)
LOOK_AGAIN_S = 0.02
"""Of wall time: how long somebody who has left may keep a waiting thread."""
STEP_S = 0.01
"""Of world time: how often the edge to come is looked up again."""


class TriggerLines:
    """Edges of each line, past and to come: who moves knows in advance when it will pass which position."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._edges_s: dict[int, list[float]] = {line: [] for line in LINES}

    def schedule(self, line: int, times_s: Iterable[float]) -> None:
        """Announce edges."""
        with self._changed:
            for time_s in times_s:
                insort(self._edges_s[line], time_s)
            self._changed.notify_all()

    def cancel(self, line: int, after_s: float) -> None:
        """Take back the edges that lie later: the motion that would have made them was changed."""
        with self._changed:
            edges_s = self._edges_s[line]
            del edges_s[bisect_right(edges_s, after_s) :]
            self._changed.notify_all()

    def edges_s(self, line: int) -> list[float]:
        """List the edges that are known, past and to come."""
        with self._changed:
            return list(self._edges_s[line])

    def wait(self, line: int, after_s: float, given_up: threading.Event) -> float | None:
        """Return the time of the first edge later than `after_s` once the world is there, None once given up."""
        while not given_up.is_set():
            with self._changed:
                edges_s = self._edges_s[line]
                place = bisect_right(edges_s, after_s)
                if place == len(edges_s):
                    self._changed.wait(LOOK_AGAIN_S)
                    continue
                edge_s = edges_s[place]
            now_s = self._clock.now_s()
            if edge_s <= now_s:
                return edge_s
            self._clock.sleep_until_s(min(edge_s, now_s + STEP_S))  # it may be taken back meanwhile
        return None
