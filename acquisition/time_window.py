"""The hours of the day in which a job may run, by the clock on the wall of a named place."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Self
from zoneinfo import ZoneInfo

from tzlocal import get_localzone_name

MINUTE = timedelta(minutes=1)
MINUTES_AHEAD = 2 * 24 * 60
"""A window opens within a day; where the clocks skip all of it that night, within two."""


@dataclass(frozen=True)
class TimeWindow:
    """From `opens` to just before `closes`, each day; over midnight if it closes before it opens.

    What counts is what the clocks in `zone` show: an hour that they show twice counts twice, one that they skip never.
    """

    opens: time
    closes: time
    zone: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `22:00-07:00 Europe/Berlin`; without a zone it is the one of this machine.

        Raises:
            ValueError: not of this form, no such zone, or an empty window; says what is wrong with the text.
        """
        match = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)(?: ([\w+/-]+))?", text.strip())
        if not match:
            raise ValueError("should be like '22:00-07:00' or '22:00-07:00 Europe/Berlin'")
        zone = match[3] or get_localzone_name()
        try:
            opens, closes = time.fromisoformat(match[1]), time.fromisoformat(match[2])
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(str(error).strip("'")) from error
        if opens == closes:
            raise ValueError("opens and closes at the same time; give none to run at any time")
        return cls(opens, closes, zone)

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M} {self.zone}"

    def contains(self, moment: datetime) -> bool:
        """Whether it is open at an aware `moment`."""
        shown = moment.astimezone(self._clock).time()
        if self.opens < self.closes:
            return self.opens <= shown < self.closes
        return shown >= self.opens or shown < self.closes

    def next_open(self, moment: datetime) -> datetime:
        """`moment` itself if it is open then, else the minute in which it opens next (UTC)."""
        if self.contains(moment):
            return moment
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
        ahead = (minute + count * MINUTE for count in range(1, MINUTES_AHEAD))
        return next(candidate for candidate in ahead if self.contains(candidate))

    @cached_property
    def _clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)
