"""The rolling shutter: which row sees when, and what a row sees while the view moves."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.sensor import Region

Vector = NDArray[np.float64]

STILL_PX = 0.2
"""A view that moves less than this is rendered once; the tremble of a stage at rest is of this size."""
STEP_PX = 0.5
"""Between two renderings, while `MOST_VIEWS` are enough for that."""
MOST_VIEWS = 16
SAMPLES = 65
"""Of the stage's way during a frame."""
SMEAR_PX = 0.75
"""A view that moves farther than this during its span is smeared along its way."""
SMEAR_POINTS_PER_PX = 8
AT_ITS_PLACE_PX = 0.05
"""Rows that lie this close to where they belong are not shifted."""


def line_numbers(region: Region, sensor_rows: int) -> NDArray[np.int64]:
    """Tell for each row of a region as how many-th line it is read.

    The sensor is read as two halves at once, each from its outer edge to the centre (pco.edge manual).
    """
    rows = np.arange(region.top, region.top + region.rows)
    last = region.top + region.rows - 1
    return np.where(rows < sensor_rows // 2, rows - region.top, last - rows)


@dataclass(frozen=True)
class Timing:
    """One frame: each row exposes as long, one line time after the row before it."""

    exposure_s: float
    line_s: float
    lines: NDArray[np.int64]
    """Of each row."""

    @cached_property
    def readout_s(self) -> float:
        """How long it takes to read all lines."""
        return float(self.lines.max() + 1) * self.line_s

    @cached_property
    def skew_s(self) -> float:
        """From the opening of the first line to that of the last."""
        return float(self.lines.max()) * self.line_s

    @cached_property
    def period_s(self) -> float:
        """From one frame to the next, at the fastest: a frame is read while the next one is exposed."""
        return max(self.exposure_s, self.readout_s)

    @cached_property
    def lasts_s(self) -> float:
        """From the first line's opening until all is read."""
        return self.exposure_s + self.readout_s


class Way:
    """Where the stage was, sampled evenly over a frame."""

    def __init__(self, start_s: float, lasts_s: float, true_um_at: Callable[[Vector], Vector]) -> None:
        self.times_s: Vector = np.linspace(start_s, start_s + lasts_s, SAMPLES)
        self.stage_um = true_um_at(self.times_s)
        step_s = lasts_s / (SAMPLES - 1)
        areas = (self.stage_um[1:] + self.stage_um[:-1]) * (step_s / 2)
        self._integral = np.concatenate([np.zeros((1, 3)), np.cumsum(areas, axis=0)])

    def mean_um(self) -> Vector:
        """Mean position (x, y, z)."""
        return np.asarray(self.stage_um.mean(axis=0))

    def extent_um(self) -> float:
        """How far apart sideways the stage has been, at most."""
        return float(np.hypot(*np.ptp(self.stage_um[:, :2], axis=0)))

    def between_um(self, from_s: float, to_s: float) -> Vector:
        """How far (x, y, z) it went from one time to another."""
        ends_s = np.array([from_s, to_s])
        return np.array([np.diff(np.interp(ends_s, self.times_s, column))[0] for column in self.stage_um.T])

    def mean_between_um(self, from_s: Vector, to_s: Vector) -> Vector:
        """Mean positions (n, 3) between pairs of times (n,); where a pair is empty, any."""
        lasts_s = np.where(to_s > from_s, to_s - from_s, 1.0)
        sums = [
            np.interp(to_s, self.times_s, column) - np.interp(from_s, self.times_s, column)
            for column in self._integral.T
        ]
        return np.stack(sums, axis=1) / lasts_s[:, None]


def seen(way: Way, timing: Timing, camera_to_stage_um: Vector, view: Callable[[Vector], Image]) -> Image:
    """Average what each row sees over its exposure; `view` renders the region with the stage at (x, y, z).

    `camera_to_stage_um` (2, 2) leads from pixels (x, y) to the stage.

    The frame is cut into spans of equal time, each rendered once; a row takes from each span what falls into its own
    exposure, moved to where the stage was then.
    """
    px_per_um = np.linalg.inv(camera_to_stage_um)
    extent_px = way.extent_um() * float(np.sqrt(abs(np.linalg.det(px_per_um))))
    if extent_px <= STILL_PX:
        return view(way.mean_um())
    count = min(int(np.ceil(extent_px / STEP_PX)), MOST_VIEWS)
    edges_s = np.linspace(way.times_s[0], way.times_s[-1], count + 1)
    opens_s = way.times_s[0] + timing.lines * timing.line_s
    closes_s = opens_s + timing.exposure_s
    total: Image | None = None
    for begins_s, ends_s in pairwise(edges_s):
        from_s, to_s = np.maximum(opens_s, begins_s), np.minimum(closes_s, ends_s)
        weights = np.maximum(to_s - from_s, 0.0) / timing.exposure_s
        if not weights.any():
            continue
        (centre_um,) = way.mean_between_um(np.array([begins_s]), np.array([ends_s]))
        away_px = (way.mean_between_um(from_s, to_s)[:, :2] - centre_um[:2]) @ px_per_um.T
        away_px[weights == 0] = 0.0
        way_px = px_per_um @ way.between_um(begins_s, ends_s)[:2]
        part = rows_moved(smeared(view(centre_um), way_px), away_px) * weights[:, None].astype(np.float32)
        total = part if total is None else total + part
    assert total is not None  # each row's exposure lies inside the frame
    return total


def smeared(image: Image, way_px: Vector) -> Image:
    """Average a view along a straight way (x, y) that it goes while it is looked at."""
    length_px = float(np.hypot(*way_px))
    if length_px <= SMEAR_PX:
        return image
    along = np.linspace(-0.5, 0.5, int(np.ceil(length_px * SMEAR_POINTS_PER_PX)))
    half = np.ceil(np.abs(way_px) / 2).astype(int)
    kernel = np.zeros((2 * half[1] + 1, 2 * half[0] + 1))
    x, y = along * way_px[0] + half[0], along * way_px[1] + half[1]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, weight_x in ((0, left + 1 - x), (1, x - left)):
        for down, weight_y in ((0, top + 1 - y), (1, y - top)):
            weights = weight_x * weight_y
            inside = weights > 0
            np.add.at(kernel, (top[inside] + down, left[inside] + right), weights[inside])
    blurred = cv2.filter2D(image, cv2.CV_32F, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)


def rows_moved(image: Image, away_px: Vector) -> Image:
    """Show in each row what lies (x, y) pixels away from it; `away_px` is (rows, 2)."""
    if np.abs(away_px).max() <= AT_ITS_PLACE_PX:
        return image
    rows, columns = image.shape
    across = np.arange(columns, dtype=np.float32)[None, :] + away_px[:, :1].astype(np.float32)
    down = np.repeat((np.arange(rows) + away_px[:, 1]).astype(np.float32)[:, None], columns, axis=1)
    moved = cv2.remap(image, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)
