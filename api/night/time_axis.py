"""The axis of a night: seconds of the epoch to picture coordinates, with ticks at round times of the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from acquisition.timeline import Span

WIDTH, LEFT, RIGHT = 900.0, 64.0, 12.0
MOST_TICKS = 9
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    DAY,
)


@dataclass(frozen=True)
class TimeAxis:
    """From when to when, and the spans in which nothing was taken: they are shaded in every chart."""

    start_s: float
    end_s: float
    shaded: Sequence[Span] = ()

    def at(self, epoch_s: float) -> float:
        """Where a time lies, in picture coordinates."""
        share = (epoch_s - self.start_s) / max(self.end_s - self.start_s, 1e-3)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[tuple[str, float]]:
        """Labels and places."""
        length_s = self.end_s - self.start_s
        step_s = next((step for step in STEPS_S if length_s / step < MOST_TICKS), None)
        if step_s is None:
            step_s = DAY * (int(length_s / DAY / MOST_TICKS) + 1)
        form = "%H:%M:%S" if step_s < MINUTE else "%H:%M" if step_s < DAY else "%d %b"
        midnight = datetime.fromtimestamp(self.start_s).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        first = int((self.start_s - midnight.timestamp()) // step_s) + 1
        count = int((self.end_s - midnight.timestamp()) // step_s) - first + 1
        times = [midnight + timedelta(seconds=step_s * (first + i)) for i in range(max(count, 0))]
        return [(time.astimezone().strftime(form), self.at(time.timestamp())) for time in times]
