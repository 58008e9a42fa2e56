"""The wave tables of the E-727: `WAV`, `WAV?`, `WCL`, `GWD?`.

`X` begins a table anew, `&` appends a segment, `+` adds one to what is there, point by point.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, array, groups, number, numbered, real, whole
from hardware_sim.gcs_parameters import SERVO_TIME_S
from hardware_sim.wave_shapes import Segment, line, ramp, sine

TABLES = 120  # as the E-712; the E-727's own number is not known
MEMORY_POINTS = 262_144
"""For all tables together."""
LENGTH = 1
"""The only parameter of `WAV?`."""
MOST_UM = 1e6
"""Of any point, amplitude and offset, upwards and downwards (a choice): far beyond all travels."""
ARGUMENTS = {"LIN": 6, "RAMP": 7, "SIN_P": 6}
APPEND = ("X", "&", "+")

Values = NDArray[np.float64]


class WaveTables:
    """What was defined with `WAV`, by table number from 0."""

    def __init__(self, is_in_use: Callable[[int], bool]) -> None:
        self._items = numbered(TABLES, Error.WAVE_INDEX)
        self._is_in_use = is_in_use
        self._points_um: dict[int, Values] = {}

    def points_um(self, table: int) -> Values:
        """Read a table.

        Raises:
            Refusal: nothing was defined.
        """
        if table not in self._points_um:
            raise Refusal(Error.WAVE_NOT_DEFINED)
        return self._points_um[table]

    def commands(self) -> Commands:
        """List the commands for wave tables."""
        return {
            "WAV": Command(
                "<TableID> <X|&|+> <LIN|RAMP|SIN_P|PNT> {<Parameter>} - Set Waveform Definition", self._define
            ),
            "WAV?": Command("[{<TableID> <ParameterID>}] - Get Waveform Definition", self._lengths),
            "WCL": Command("{<TableID>} - Clear Wave Table Data", self._clear),
            "GWD?": Command("[<StartPoint> <NumberOfPoints> [{<TableID>}]] - Get Wave Table Data", self._data),
        }

    def _define(self, words: list[str]) -> None:
        if len(words) < 3:
            raise Refusal(Error.MISSING_PARAMETER)
        table, how, kind = self._items.index(words[0]), words[1].upper(), words[2].upper()
        if how not in APPEND:
            raise Refusal(Error.PARAMETER_SYNTAX)
        if self._is_in_use(table):
            raise Refusal(Error.GENERATOR_RUNNING)
        segment_um = _points(words[3:]) if kind == "PNT" and how != "+" else _curve(kind, words[3:])
        before_um = np.empty(0) if how == "X" else self._points_um.get(table, np.empty(0))
        points_um = _sum(before_um, segment_um) if how == "+" else np.concatenate([before_um, segment_um])
        if self._used_points() - len(self._points_um.get(table, ())) + len(points_um) > MEMORY_POINTS:
            raise Refusal(Error.NO_MEMORY_FOR_WAVE)
        self._points_um[table] = points_um

    def _used_points(self) -> int:
        return sum(map(len, self._points_um.values()))

    def _lengths(self, words: list[str]) -> list[str]:
        asked = groups(words, 2) if words else [[str(table + 1), str(LENGTH)] for table in sorted(self._points_um)]
        if any(whole(parameter) != LENGTH for _, parameter in asked):
            raise Refusal(Error.OUT_OF_RANGE)
        lengths = {name: len(self._points_um.get(self._items.index(name), ())) for name, _ in asked}
        return [f"{name} {LENGTH}={number(length)}" for name, length in lengths.items()] or [f"1 {LENGTH}={number(0)}"]

    def _clear(self, words: list[str]) -> None:
        if not words:
            raise Refusal(Error.MISSING_PARAMETER)
        tables = self._items.indices(words)
        if any(map(self._is_in_use, tables)):
            raise Refusal(Error.GENERATOR_RUNNING)
        for table in tables:
            self._points_um.pop(table, None)

    def _data(self, words: list[str]) -> Iterable[str]:
        """Write tables out, without the generators' offsets."""
        tables = self._items.indices(words[2:]) if words[2:] else sorted(self._points_um)
        if not tables:
            raise Refusal(Error.WAVE_NOT_DEFINED)
        columns = [self.points_um(table) for table in tables]
        first, count = asked_points(words, len(columns[0]))
        if not words and len({len(column) for column in columns}) > 1:
            raise Refusal(Error.DIFFERENT_LENGTHS)
        if any(first + count - 1 > len(column) for column in columns):
            raise Refusal(Error.OUT_OF_RANGE)
        parts = [column[first - 1 : first - 1 + count] for column in columns]
        return array(parts, [f"Wave Table {table + 1}" for table in tables], SERVO_TIME_S)


def asked_points(words: list[str], length: int) -> tuple[int, int]:
    """Read which points a query asks for: the first, from 1, and how many; all there are, unless told."""
    first = whole(words[0]) if words else 1
    count = whole(words[1]) if words[1:] else length - first + 1
    if first < 1 or count < 1:
        raise Refusal(Error.OUT_OF_RANGE)
    return first, count


def _sum(before_um: Values, segment_um: Values) -> Values:
    """Add two tables; the shorter one is continued with zeros."""
    summed_um = np.zeros(max(len(before_um), len(segment_um)))
    summed_um[: len(before_um)] += before_um
    summed_um[: len(segment_um)] += segment_um
    return summed_um


def _points(words: list[str]) -> Values:
    """Read `PNT <first> <n> <p1> ... <pn>`; the place of the points follows from `X` and `&`."""
    if len(words) < 3:
        raise Refusal(Error.WAVE_PARAMETER_NUMBER)
    first, count = whole(words[0]), whole(words[1])
    if first < 1 or count < 1:
        raise Refusal(Error.WAVE_PARAMETER_OUT_OF_LIMIT)
    if len(words) != 2 + count:
        raise Refusal(Error.WAVE_PARAMETER_NUMBER)
    points_um = np.array([real(word) for word in words[2:]])
    if not (np.abs(points_um) <= MOST_UM).all():
        raise Refusal(Error.WAVE_PARAMETER_OUT_OF_LIMIT)
    return points_um


def _curve(kind: str, words: list[str]) -> Values:
    """Read `<seglen> <amp> <offset> <wavelen> <start>`, then what the kind of curve needs."""
    if kind not in ARGUMENTS:
        raise Refusal(Error.WAVE_TYPE)
    if len(words) != ARGUMENTS[kind]:
        raise Refusal(Error.WAVE_PARAMETER_NUMBER)
    length, amplitude_um, offset_um = whole(words[0]), real(words[1]), real(words[2])
    points, start, *more = (whole(word) for word in words[3:])
    if length > MEMORY_POINTS:
        raise Refusal(Error.WAVE_TOO_LONG)
    speed_points, centre = {"LIN": (*more, points), "RAMP": (*more,), "SIN_P": (0, *more)}[kind]
    shortest_leg = min(centre, points - centre) if kind != "LIN" else points
    if max(abs(amplitude_um), abs(offset_um)) > MOST_UM:
        raise Refusal(Error.WAVE_PARAMETER_OUT_OF_LIMIT)
    if not (1 <= points <= length and 0 <= start < length and 0 <= 2 * speed_points <= shortest_leg):
        raise Refusal(Error.WAVE_PARAMETER_OUT_OF_LIMIT)
    if kind != "LIN" and not 0 < centre < points:
        raise Refusal(Error.WAVE_PARAMETER_OUT_OF_LIMIT)
    segment = Segment(length, amplitude_um, offset_um, points, start)
    if kind == "LIN":
        return line(segment, speed_points)
    return ramp(segment, speed_points, centre) if kind == "RAMP" else sine(segment, centre)
