"""Whether the machine's clock can be believed: jobs start by it, and every line of a journal carries its time."""

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PLAUSIBLE_YEARS = range(2026, 2100)
"""Before the first, this program did not exist: a clock whose battery is empty says 1970 or 2000."""
JUMP_S = 1.0
"""A clock that is kept right is turned by less than this while a few devices are asked."""
UNSYNCHRONISED = 5
"""What the kernel calls TIME_ERROR (adjtimex(2))."""
TIME_SERVICES = Path("/run/systemd/timesync"), Path("/run/chrony"), Path("/run/chronyd.pid"), Path("/run/ntpd.pid")
"""Of one of these there is a trace where a service keeps the clock right; where there is none, nobody wants it to."""
TIMEX_BYTES = 512
"""More than the kernel's structure needs on any machine; all zero, it asks and changes nothing."""


@dataclass(frozen=True)
class Clocks:
    """Where the times come from."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    lost_its_service: Callable[[], bool] = lambda: bool(_time_service() and _adjtimex() == UNSYNCHRONISED)


HOST_CLOCKS = Clocks()


@contextmanager
def watching(clocks: Clocks, warnings: list[str]) -> Iterator[None]:
    """Judge the clock over the block, and add what is wrong with it to `warnings`."""
    ahead_s = clocks.wall() - clocks.monotonic()
    yield
    jump_s = clocks.wall() - clocks.monotonic() - ahead_s
    year = datetime.fromtimestamp(clocks.wall(), UTC).year
    if year not in PLAUSIBLE_YEARS:
        warnings.append(f"clock: the year {year} is outside {PLAUSIBLE_YEARS[0]}..{PLAUSIBLE_YEARS[-1]}")
    if abs(jump_s) > JUMP_S:
        warnings.append(f"clock: it was turned by {jump_s:+.1f} s during the checks")
    if clocks.lost_its_service():
        warnings.append("clock: the service that keeps it right has not found the time")


def _time_service() -> bool:
    return any(trace.exists() for trace in TIME_SERVICES)


def _adjtimex() -> int:
    """Ask the kernel for the state of its clock; -1 where it cannot be asked."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    except (OSError, AttributeError):
        return -1
