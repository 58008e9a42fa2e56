"""Loss curves as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT_PX, WIDTH_PX, RIM_PX = 360, 720, 48
COLOURS = ((180, 90, 20), (30, 120, 220), (60, 160, 60), (150, 60, 150))  # blue, green, red
INK, FAINT = (60, 60, 60), (225, 225, 225)


def write_curves(path: Path, losses: Mapping[str, Sequence[float]]) -> None:
    """Draw each loss over the steps, smoothed, on a logarithmic scale, as a PNG."""
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    smooth = {name: _smoothed(values) for name, values in losses.items() if len(values)}
    shown = np.concatenate([np.log10(values) for values in smooth.values()]) if smooth else np.zeros(1)
    low, high = float(shown.min()), float(shown.max())
    low, high = low - 0.05, max(high, low + 0.1) + 0.05
    for power in np.arange(np.ceil(low * 4), np.floor(high * 4) + 1) / 4:
        y = _y(power, low, high)
        cv2.line(picture, (RIM_PX, y), (WIDTH_PX - 8, y), FAINT, 1)
        cv2.putText(picture, f"{10**power:.3g}", (2, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.35, INK, 1, cv2.LINE_AA)
    for number, (name, values) in enumerate(smooth.items()):
        x = np.linspace(RIM_PX, WIDTH_PX - 8, len(values))
        heights = [_y(power, low, high) for power in np.log10(values)]
        line = np.rint(np.stack([x, heights], -1)).astype(np.int32)
        colour = COLOURS[number % len(COLOURS)]
        cv2.polylines(picture, [line], False, colour, 1, cv2.LINE_AA)
        at = WIDTH_PX - 150, 20 + 16 * number
        cv2.putText(picture, f"{name} {values[-1]:.4g}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    steps = max((len(values) for values in losses.values()), default=0)
    at = WIDTH_PX // 2 - 30, HEIGHT_PX - 8
    cv2.putText(picture, f"{steps} steps", at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def _smoothed(values: Sequence[float]) -> NDArray[np.float64]:
    """Means of a hundredth of all steps, above 0."""
    parts = np.array_split(np.asarray(values, np.float64), min(len(values), 100))
    return np.maximum([part.mean() for part in parts], 1e-12)


def _y(power: float, low: float, high: float) -> int:
    return round(HEIGHT_PX - 28 - (power - low) / (high - low) * (HEIGHT_PX - 40))
