"""The trigger lines from the scanner's controller to the camera: rising edges, at exact world times."""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable

from hardware_sim.clock import Clock

LINES = (1, 2, 3)
LOOK_AGAIN_S = 0.02
"""Of wall time: how long somebody who has left may keep a waiting thread."""
STEP_S = 0.01
"""Of world time: how often the edge to come is looked up again."""
FAR_S = 600.0
"""Of world time: how far ahead an edge is looked for."""


class TriggerLines:
    """Edges of each line, past and to come: who moves knows in advance when it will pass which position.

    They are announced a little at a time, whenever somebody asks for more, since a motion may never end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._edges_s: dict[int, list[float]] = {line: [] for line in LINES}
        self._announcers: list[Callable[[int, float], bool]] = []

    def on_demand(self, announce: Callable[[int, float], bool]) -> None:
        """Ask somebody for more edges of a line up to a time, until he says that there is nothing more to tell."""
        self._announcers.append(announce)

    def schedule(self, line: int, times_s: Iterable[float]) -> None:
        """Announce edges."""
        with self._changed:
            self._edges_s[line].extend(times_s)
            self._edges_s[line].sort()
            self._changed.notify_all()

    def cancel(self, line: int, after_s: float) -> None:
        """Take back the edges that lie later: the motion that would have made them was changed."""
        with self._changed:
            edges_s = self._edges_s[line]
            del edges_s[bisect_right(edges_s, after_s) :]
            self._changed.notify_all()

    def edges_s(self, line: int, until_s: float) -> list[float]:
        """List the edges up to a time."""
        while self._is_told_more(line, until_s):
            pass
        with self._changed:
            edges_s = self._edges_s[line]
            return edges_s[: bisect_right(edges_s, until_s)]

    def wait(self, line: int, after_s: float, given_up: threading.Event) -> float | None:
        """Return the time of the first edge later than `after_s` once the world is there, None once given up."""
        while not given_up.is_set():
            edge_s, now_s = self._next_s(line, after_s), self._clock.now_s()
            if edge_s is None:
                if not self._is_told_more(line, now_s + FAR_S):
                    self._wait_for_news()
            elif edge_s <= now_s:
                return edge_s
            else:
                self._clock.sleep_until_s(min(edge_s, now_s + STEP_S))  # it may be taken back meanwhile
        return None

    def _next_s(self, line: int, after_s: float) -> float | None:
        with self._changed:
            edges_s = self._edges_s[line]
            place = bisect_right(edges_s, after_s)
            return edges_s[place] if place < len(edges_s) else None

    def _is_told_more(self, line: int, until_s: float) -> bool:
        return any(announce(line, until_s) for announce in self._announcers)

    def _wait_for_news(self) -> None:
        with self._changed:
            self._changed.wait(LOOK_AGAIN_S)
