"""Charts of a night as inline SVG: one quantity over time each, all on the same axis, coloured by the page's style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from api.night.time_axis import LEFT, RIGHT, WIDTH, TimeAxis
from api.night.words import clock, duration

HEIGHT, TOP, BOTTOM = 190.0, 30.0, 24.0
TICKS = 4
BINS = 800  # of a long series, each with its lowest and highest point; a picture has not many more columns
LEAST_DOTS = 60  # up to here the points of a line are marked


@dataclass(frozen=True)
class Series:
    """One line, or one cloud of dots, with times in seconds of the epoch."""

    label: str
    times_s: Sequence[float]
    values: Sequence[float]
    colour: str  # a class of the page's style
    drawn_as: Literal["line", "dots"] = "line"


@dataclass(frozen=True)
class Level:
    """A value worth comparing with."""

    label: str
    value: float


def time_chart(
    title: str, axis: TimeAxis, series: Sequence[Series], levels: Sequence[Level] = (), log: bool = False
) -> str:
    """Draw series on the night's axis; nothing if none of them has a point."""
    points = [_usable(one, log) for one in series]
    if not any(times.size for times, _ in points):
        return ""
    up = _ValueAxis([*(values for _, values in points), np.array([level.value for level in levels])], log)
    parts = [f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>', _shades(axis), _grid(axis, up)]
    for level in levels:
        y = up.at(level.value)
        parts.append(f'<path class="level" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="small" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{level.label}</text>')
    for one, (times, values) in zip(series, points, strict=True):
        parts.append(_drawn(one, times, values, axis, up))
    if len(shown := [one for one, (times, _) in zip(series, points, strict=True) if times.size]) > 1:
        parts.append(_legend(shown))
    return f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">{"".join(parts)}</svg>'


def _usable(series: Series, log: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, values = np.asarray(series.times_s, np.float64), np.asarray(series.values, np.float64)
    kept = np.isfinite(times) & np.isfinite(values) & ((values > 0) | (not log))
    times, values = times[kept], values[kept]
    if len(times) <= 2 * BINS:
        return times, values
    chosen: list[int] = []
    for part in np.array_split(np.arange(len(times)), BINS):
        chosen += sorted({int(part[values[part].argmin()]), int(part[values[part].argmax()])})
    return times[chosen], values[chosen]


def _drawn(
    series: Series, times: NDArray[np.float64], values: NDArray[np.float64], axis: TimeAxis, up: "_ValueAxis"
) -> str:
    places = [(axis.at(float(time)), up.at(float(value))) for time, value in zip(times, values, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="{series.colour}" points="{line}"/>'] if series.drawn_as == "line" else []
    if series.drawn_as == "dots" or len(places) <= LEAST_DOTS:
        for (x, y), time, value in zip(places, times, values, strict=True):
            title = escape(f"{clock(float(time))} {series.label}: {value:.4g}")
            parts.append(
                f'<circle class="{series.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2"><title>{title}</title></circle>'
            )
    return "".join(parts)


def _shades(axis: TimeAxis) -> str:
    parts = []
    for span in axis.shaded:
        x, width = axis.at(span.start_s), max(axis.at(span.end_s) - axis.at(span.start_s), 1.0)
        box = f'x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
        title = f"{span.what} {span.reason}\n{clock(span.start_s)}, {duration(span.length_s)}"
        parts.append(f'<rect class="shade" {box}><title>{escape(title)}</title></rect>')
    return "".join(parts)


def _grid(axis: TimeAxis, up: "_ValueAxis") -> str:
    parts = []
    for label, x in axis.ticks():
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
    for label, y in up.ticks():
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return "".join(parts)


def _legend(series: Sequence[Series]) -> str:
    parts = []
    x = WIDTH - RIGHT
    for one in reversed(series):
        x -= 7 * len(one.label) + 26  # wide enough for any letters of this size
        sign = f"M{x} 12h14" if one.drawn_as == "line" else f"M{x + 5} 12h4"
        parts.append(f'<path class="{one.colour} key" d="{sign}"/><text class="small" x="{x + 18}" y="16">')
        parts.append(f"{escape(one.label)}</text>")
    return "".join(parts)


class _ValueAxis:
    """Values to picture coordinates, upwards."""

    def __init__(self, values: Sequence[NDArray[np.float64]], log: bool) -> None:
        self._log = log
        scaled = [self._scaled(float(value)) for value in np.concatenate(list(values))]
        low, high = min(scaled), max(scaled)
        margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        self._low, self._high = low - margin, high + margin

    def at(self, value: float) -> float:
        share = (self._scaled(value) - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[tuple[str, float]]:
        return [(f"{value:.4g}", self.at(value)) for value in (self._decades() if self._log else self._round())]

    def _decades(self) -> list[float]:
        steps = (1, 2, 5) if self._high - self._low < 2 else (1,)
        exponents = range(math.floor(self._low), math.ceil(self._high) + 1)
        found = [step * 10.0**exponent for exponent in exponents for step in steps]
        return [value for value in found if self._low <= math.log10(value) <= self._high]

    def _round(self) -> list[float]:
        raw = (self._high - self._low) / TICKS
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = magnitude * min((1, 2, 5, 10), key=lambda nice: abs(nice - raw / magnitude))
        return [i * step for i in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value
