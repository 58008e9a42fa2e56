"""When to ask whether a move has settled: seldom while it cannot have, often around the time when it should.

A scan makes the same move again and again; where such a move was last found under way, the close asking begins.
"""

import time
from collections.abc import Mapping

POLL_SHARE = 0.1  # of the time waited so far: a short move is noticed soon, a long one costs next to nothing
SHORTEST_POLL_S, LONGEST_POLL_S = 0.001, 0.02
CLOSE_POLL_S = 0.0001  # about what an exchange with a controller takes
CLOSE_FOR_S = 0.003  # what is later than that is another kind of move after all
BACK_S = 0.001  # how much earlier to begin the next time, where a move had settled when it was first asked for
EQUAL_UM = 0.1  # moves whose ways differ by less take the same time
MOST_WAYS = 256

Way = tuple[tuple[str, int], ...]


class Settling:
    """What is known of the moves of one controller so far."""

    def __init__(self) -> None:
        self._under_way_s: dict[Way, float] = {}

    def wait(self, began: float, ways_um: Mapping[str, float]) -> "Wait":
        """Wait for a move that began at a time of `time.monotonic`; where its ways are not told, nothing is learned."""
        if len(self._under_way_s) >= MOST_WAYS:
            self._under_way_s.clear()
        way = tuple((axis, round(abs(um) / EQUAL_UM)) for axis, um in ways_um.items())
        return Wait(self._under_way_s, way, began)


class Wait:
    """The wait for one move."""

    def __init__(self, under_way_s: dict[Way, float], way: Way, began: float) -> None:
        self._known_s = under_way_s
        self._way = way
        self._close_from_s = under_way_s.get(way, 0.0)
        self._last_asked_s = 0.0
        self._began = began

    def pause(self) -> None:
        """Let time pass until it is worth while to ask again."""
        self._last_asked_s = waited_s = time.monotonic() - self._began
        left_s = self._close_from_s - waited_s
        if left_s > 0:
            time.sleep(min(max(left_s, CLOSE_POLL_S), LONGEST_POLL_S))
        elif self._close_from_s and left_s > -CLOSE_FOR_S:
            time.sleep(CLOSE_POLL_S)
        else:
            time.sleep(min(max(POLL_SHARE * waited_s, SHORTEST_POLL_S), LONGEST_POLL_S))

    def ended(self) -> None:
        """Remember, for the next move of this kind, that this one has settled."""
        if not self._way:
            return
        if self._last_asked_s >= self._close_from_s:
            self._known_s[self._way] = self._last_asked_s
        else:
            latest_s = min(self._close_from_s, time.monotonic() - self._began)
            self._known_s[self._way] = max(self._last_asked_s, latest_s - BACK_S)
