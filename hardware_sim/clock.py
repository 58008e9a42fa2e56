"""World time: what every simulated device takes for the time of day."""

import threading
import time
from typing import Protocol

OPERATION_S = 0.0002
"""What an operation of a device takes in counted time: about that of a query over a wire."""


class Clock(Protocol):
    """World time, in seconds since the world began."""

    def now_s(self) -> float:
        """Read the time."""
        ...

    def sleep_until_s(self, time_s: float) -> None:
        """Return when the world is at `time_s` or later."""
        ...

    def tick(self) -> None:
        """Note that an operation of a device begins."""
        ...


class RealClock:
    """World time that runs `speed` times as fast as the clock on the wall."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._began_s = time.monotonic()

    def now_s(self) -> float:
        """Read the time."""
        return (time.monotonic() - self._began_s) * self.speed

    def sleep_until_s(self, time_s: float) -> None:
        """Return when the world is at `time_s` or later."""
        left_s = time_s - self.now_s()
        if left_s > 0:
            time.sleep(left_s / self.speed)

    def tick(self) -> None:
        """Note that an operation of a device begins; that takes the time it takes."""


class ManualClock:
    """World time that passes only when a test says so; sleeping makes it pass."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        """Read the time."""
        return self._now_s

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` pass."""
        self._now_s += duration_s

    def sleep_until_s(self, time_s: float) -> None:
        """Jump to `time_s` unless it has passed."""
        self._now_s = max(self._now_s, time_s)

    def tick(self) -> None:
        """Note that an operation of a device begins; that takes no time."""


class CountedClock:
    """World time that passes only by what is done: waiting makes it jump, every operation of a device moves it on.

    So what one client does, step by step, always happens at the same times, however fast the machine is.
    """

    def __init__(self, operation_s: float = OPERATION_S) -> None:
        self._operation_s = operation_s
        self._lock = threading.Lock()
        self._now_s = 0.0

    def now_s(self) -> float:
        """Read the time."""
        return self._now_s

    def sleep_until_s(self, time_s: float) -> None:
        """Jump to `time_s` unless it has passed."""
        with self._lock:
            self._now_s = max(self._now_s, time_s)

    def tick(self) -> None:
        """Let the time of one operation pass."""
        with self._lock:
            self._now_s += self._operation_s
