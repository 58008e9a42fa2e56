"""Small charts as SVG: panels of lines on common axes, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLOURS = "#1f5fa8", "#d1495b", "#3a7d44", "#8d6a9f"
WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 46
TICKS = 5


@dataclass(frozen=True)
class Curve:
    """One line: `x` and `y` of the same length."""

    label: str
    x: ArrayLike
    y: ArrayLike


@dataclass(frozen=True)
class Panel:
    """One chart; a logarithmic axis leaves out what is not positive."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log_x: bool = False
    log_y: bool = False


def write_charts(path: Path, panels: Sequence[Panel], columns: int = 2) -> None:
    """Write panels side by side, row by row."""
    rows = -(-len(panels) // columns)
    size = f'width="{columns * WIDTH}" height="{rows * HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for number, panel in enumerate(panels):
        x, y = number % columns * WIDTH, number // columns * HEIGHT
        parts.append(f'<g transform="translate({x},{y})">{_drawn(panel)}</g>')
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _drawn(panel: Panel) -> str:
    curves = [_usable(curve, panel) for curve in panel.curves]
    across = _Axis([x for x, _ in curves], panel.log_x, LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in curves], panel.log_y, HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>']
    for tick, at in across.ticks():
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick}</text>')
    for tick, at in up.ticks():
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.x_label)}</text>')
    turned = f'transform="translate(14,{middle_y}) rotate(-90)" text-anchor="middle"'
    parts.append(f"<text {turned}>{escape(panel.y_label)}</text>")
    for number, (curve, (x, y)) in enumerate(zip(panel.curves, curves, strict=True)):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across.at(x), up.at(y), strict=True))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        legend_x = WIDTH - RIGHT - 90 * (len(curves) - number)
        parts.append(f'<path d="M{legend_x} 14h16" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{legend_x + 20}" y="18">{escape(curve.label)}</text>')
    return "".join(parts)


def _usable(curve: Curve, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    if panel.log_x:
        kept &= x > 0
    if panel.log_y:
        kept &= y > 0
    return x[kept], y[kept]


class _Axis:
    """Values to picture coordinates."""

    def __init__(self, values: Sequence[NDArray[np.float64]], log: bool, first: float, last: float) -> None:
        self._log = log
        scaled = self._scaled(np.concatenate(list(values)))
        self._low, self._high = float(scaled.min()), float(scaled.max())
        if self._high == self._low:
            self._high += 1.0
        self._first, self._last = first, last

    def at(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (self._scaled(values) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)

    def ticks(self) -> list[tuple[str, float]]:
        if self._log:
            decades = np.arange(np.ceil(self._low), np.floor(self._high) + 1)
            chosen = 10.0 ** decades[:: max(len(decades) // TICKS, 1)]
        else:
            raw = (self._high - self._low) / TICKS
            magnitude = 10.0 ** np.floor(np.log10(raw))
            step = magnitude * min((1, 2, 5, 10), key=lambda nice: abs(nice - raw / magnitude))
            chosen = np.arange(np.ceil(self._low / step), np.floor(self._high / step) + 1) * step
        return [(f"{value:.3g}", float(at)) for value, at in zip(chosen, self.at(chosen), strict=True)]

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(values) if self._log else values
