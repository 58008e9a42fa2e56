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
from reconstruction.feather import SQUARE_PX
from reconstruction.pyramid import halved
from reconstruction.resampling import STEPS, Bend, moved
from reconstruction.strips import Image

BROAD_SIGMA = 2.0  # of the blur, in pixels of the reduced image


@dataclass(frozen=True)
class TileView:
    """Fulfils `Laid`. `corner_px` and `rest`: its place as whole pixels and steps, x first."""

    frame: NDArray[Any]
    small: Callable[[], Image]  # what is broad in the frame: see `reduced`
    corner_px: tuple[int, int]
    rest: tuple[int, int]
    gain: float  # exposure against the other tiles
    shading: tuple[float, ...]
    bend: Bend | None

    @property
    def box(self) -> Canvas:
        margin_px = self.bend.margin_px if self.bend else 0
        height, width = self.frame.shape
        x, y = self.corner_px
        return Canvas(x + margin_px, y + margin_px, width - 2 * margin_px, height - 2 * margin_px)

    def pixels(self, box: Canvas) -> Image:
        region = box.within(Canvas(*self.corner_px, self.frame.shape[1], self.frame.shape[0]))
        image = (self.bend.straightened if self.bend else moved)(self.frame, region, self.rest)
        if self.shading:
            cv2.multiply(image, flat_field(self.shading, self.frame.shape)[region], image, 1 / self.gain)
        elif self.gain != 1.0:
            image *= np.float32(1 / self.gain)
        return image

    def broad(self, box: Canvas) -> Image:
        rows, columns = (-(-size // SQUARE_PX) for size in box.shape)
        (x, x_step), (y, y_step) = (
            ((at - corner - rest / STEPS + SQUARE_PX / 2) * small / size - 0.5, SQUARE_PX * small / size)
            for at, corner, rest, size, small in zip(
                (box.x_px, box.y_px),
                self.corner_px,
                self.rest,
                self.frame.shape[::-1],
                self._small.shape[::-1],
                strict=True,
            )
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        into_small = np.array([[x_step, 0, x], [0, y_step, y]])
        found = cv2.warpAffine(self._small, into_small, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, dtype=np.float32)

    @cached_property
    def _small(self) -> Image:
        image = self.small() * np.float32(1 / self.gain)
        if self.shading:
            image *= flat_field(self.shading, image.shape)
        return image


def reduced(frame: NDArray[Any]) -> Image:
    """Average a frame (y, x) over squares of about `SQUARE_PX` pixels, and keep what is broad in that."""
    rows, columns = (max(1, size // SQUARE_PX) for size in frame.shape)
    half = halved(frame).astype(np.float32)  # in two steps it takes less than half of the time
    small = cv2.resize(half, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), BROAD_SIGMA, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
