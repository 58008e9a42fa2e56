"""How often somebody may ask: a bucket that fills steadily, and from which each request takes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_ASKERS = 1000  # remembered; who was heard longest ago is forgotten first, and begins with a full bucket


@dataclass(frozen=True)
class Rate:
    """So many in a second for long, and `burst` at once."""

    per_s: float
    burst: int


@dataclass(frozen=True)
class Rates:
    """What each may do: who looks, who commands, who was not let in, and who asks for what is open to all."""

    viewing: Rate = Rate(400, 2000)
    commands: Rate = Rate(20, 200)
    strangers: Rate = Rate(5, 30)
    openly: Rate = Rate(20, 100)


USUAL = Rates()


class Buckets:
    """A bucket for each asker; used by one thread."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> float:
        """Take one, and return 0; if there is none, in how many seconds there is one again."""
        now_s = self._clock()
        left, at_s = self._filled.pop(who, (float(self._rate.burst), now_s))
        left = min(left + (now_s - at_s) * self._rate.per_s, self._rate.burst)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._rate.per_s
        self._filled[who] = (left if wait_s else left - 1), now_s
        if len(self._filled) > MOST_ASKERS:
            self._filled.popitem(last=False)
        return wait_s
