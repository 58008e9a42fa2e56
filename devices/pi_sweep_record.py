"""What a data recorder kept of a sweep: when the trigger line rose, and where the axes were then.

A record has one row a sample: the position of each axis, then the state of the line.
"""

from collections.abc import Sequence

Record = Sequence[Sequence[float]]


def trigger_times(record: Record, swept: int, places_um: Sequence[float]) -> list[float]:
    """Tell when the line rose, in samples from the first; the position says where between two samples.

    Args:
        swept: column of the axis that was swept.
        places_um: where it was to rise.

    Raises:
        ValueError: it did not rise once for each place.
    """
    rises = [i for i in range(1, len(record)) if record[i][-1] > record[i - 1][-1]]
    if len(rises) != len(places_um):
        raise ValueError(f"{len(rises)} triggers in the record, {len(places_um)} were asked for")
    return [_crossing(record, swept, rise, place_um) for rise, place_um in zip(rises, places_um, strict=True)]


def _crossing(record: Record, swept: int, rise: int, place_um: float) -> float:
    """Time at which a place was passed, within a sample of the one that shows the line high."""
    first, last = rise - 1, min(rise + 1, len(record) - 1)
    first_um, last_um = record[first][swept], record[last][swept]
    way_um = last_um - first_um
    share = (place_um - first_um) / way_um if way_um else 0.5
    return first + (last - first) * min(max(share, 0.0), 1.0)


def at_times(record: Record, times: Sequence[float]) -> list[list[float]]:
    """Positions of all axes at times between samples.

    Raises:
        ValueError: the record ends before.
    """
    if any(time > len(record) - 1 for time in times):
        raise ValueError(f"the record ends after {len(record)} samples, asked for {max(times):.1f}")
    return [_between(record, time) for time in times]


def _between(record: Record, time: float) -> list[float]:
    index = min(int(time), len(record) - 2)
    share = time - index
    before, after = record[index][:-1], record[index + 1][:-1]
    return [(1 - share) * b + share * a for b, a in zip(before, after, strict=True)]
