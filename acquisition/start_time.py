"""The moment from which on a job may run, as people give it."""

from datetime import UTC, datetime

YEARS = 2000, 2099  # a typing error lies outside; so do the ends of the calendar, beyond which no zone can be told


def start_time(moment: datetime) -> datetime:
    """The same moment in UTC; one without an offset is meant by the clock of this machine.

    Raises:
        ValueError: outside `YEARS`.
    """
    first, last = YEARS
    if not first <= moment.year <= last:
        raise ValueError(f"outside the years {first}..{last}")
    return moment.astimezone(UTC)
