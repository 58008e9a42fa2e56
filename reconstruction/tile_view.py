"""A tile as a layer shows it: at its place between pixels, without shading, exposure and distortion."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.brightness import flat_field
from reconstruction.canvas import Canvas
from reconstruction.resampling import Bend, Region, moved, whole_and_rest
from reconstruction.squares import SQUARE_PX, averaged, inside, means_of
from reconstruction.strips import Image


@dataclass(frozen=True)
class Laying:
    """A frame and where it lies: its first pixel in steps, x first, and the distortion to take out of it."""

    frame: NDArray[Any]
    steps: tuple[int, int]
    bend: Bend | None

    @property
    def corner_px(self) -> tuple[int, int]:
        (x, _), (y, _) = (whole_and_rest(steps) for steps in self.steps)
        return x, y

    @property
    def rest(self) -> tuple[int, int]:
        (_, x), (_, y) = (whole_and_rest(steps) for steps in self.steps)
        return x, y

    @property
    def box(self) -> Canvas:
        """Where it has pixels."""
        margin_px = self.bend.margin_px if self.bend else 0
        height, width = self.frame.shape
        x, y = self.corner_px
        return Canvas(x + margin_px, y + margin_px, width - 2 * margin_px, height - 2 * margin_px)

    def region(self, box: Canvas) -> Region:
        """Give a part of its box as rows and columns of the frame."""
        return box.within(Canvas(*self.corner_px, self.frame.shape[1], self.frame.shape[0]))

    def pixels(self, region: Region) -> Image:
        """Sample a region anew, (y, x)."""
        return (self.bend.straightened if self.bend else moved)(self.frame, region, self.rest)

    def means(self) -> Image:
        """Average over the squares that lie whole within its box; of no size if there are none."""
        squares = inside(self.box)
        if not squares:
            return np.zeros((0, 0), np.float32)
        region = self.region(squares.times(SQUARE_PX))
        return averaged(self.pixels(region)) if self.bend else means_of(self.frame, region, self.rest)


@dataclass(frozen=True)
class TileView:
    """Fulfils `Laid`."""

    laying: Laying
    frame_means: Callable[[], Image]  # as `Laying.means` gives them
    gain: float  # exposure against the other tiles
    shading: tuple[float, ...]

    @cached_property
    def box(self) -> Canvas:
        return self.laying.box

    def pixels(self, box: Canvas) -> Image:
        region = self.laying.region(box)
        image = self.laying.pixels(region)
        if self.shading:
            cv2.multiply(image, self._flat_field[region], image, 1 / self.gain)
        elif self.gain != 1.0:
            image *= np.float32(1 / self.gain)
        return image

    @cached_property
    def means(self) -> Image:
        means = self.frame_means() * np.float32(1 / self.gain)
        squares = inside(self.box)
        if self.shading and squares:
            rows, columns = self.laying.region(squares.times(SQUARE_PX))
            centre = SQUARE_PX // 2
            means *= self._flat_field[
                rows.start + centre : rows.stop : SQUARE_PX, columns.start + centre : columns.stop : SQUARE_PX
            ]
        return means

    @property
    def _flat_field(self) -> Image:
        return flat_field(self.shading, self.laying.frame.shape)
