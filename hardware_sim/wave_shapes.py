"""Curves of the wave generator (E-727 manual, `WAV`): each is a function of the point, in um.

A segment of `length` points holds one curve of `points` points that begins at point `start`. Around it lie the values
at its two ends.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """What all curves have in common."""

    length: int
    amplitude_um: float
    offset_um: float
    points: int
    start: int


def line(segment: Segment, speed_points: int) -> Values:
    """Make a single scan line; its last point is the whole amplitude away from its first."""
    place = np.arange(segment.length) - segment.start
    return segment.offset_um + segment.amplitude_um * _eased(place, segment.points - 1, speed_points)


def ramp(segment: Segment, speed_points: int, centre: int) -> Values:
    """Make a line there and back that repeats without a jump; it turns at point `centre` of the curve."""
    place = _phase(segment)
    back = _eased(place - centre, segment.points - centre, speed_points)
    return segment.offset_um + segment.amplitude_um * (_eased(place, centre, speed_points) - back)


def sine(segment: Segment, centre: int) -> Values:
    """Make one inverted cosine, from its lowest point over the highest at `centre` to the lowest."""
    place = _phase(segment)
    there = np.clip(place / centre, 0.0, 1.0)
    back = np.clip((place - centre) / (segment.points - centre), 0.0, 1.0)
    return segment.offset_um + segment.amplitude_um * (np.cos(np.pi * back) - np.cos(np.pi * there)) / 2


def _phase(segment: Segment) -> NDArray[np.int64]:
    """Number the points from the start of the curve; what is cut off at the end of the segment leads it."""
    return (np.arange(segment.length) - segment.start) % segment.length


def _eased(place: NDArray[np.int64], points: int, speed_points: int) -> Values:
    """Go from 0 to 1 within `points`, with constant acceleration during the first and last `speed_points`."""
    part = np.clip(place / max(points, 1), 0.0, 1.0)
    ease = min(speed_points / max(points, 1), 0.5)
    if not ease:
        return part
    speed = 1.0 / (1.0 - ease)
    begin = speed * part**2 / (2 * ease)
    end = 1.0 - speed * (1.0 - part) ** 2 / (2 * ease)
    eased: Values = np.where(part < ease, begin, np.where(part > 1.0 - ease, end, speed * (part - ease / 2)))
    return eased
