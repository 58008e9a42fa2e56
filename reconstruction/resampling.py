"""Tiles at places between pixels: sampled anew by a windowed sinc, along rows and columns apart.

White noise of standard deviation 1 leaves the resampling with 1 at whole pixels and 0.83 at half a pixel in both
directions (the kernel's sum of squares is 0.69); a signal keeps its amplitude within 1 % up to 0.25 cycles a pixel and
within 3 % up to 0.35 (Lanczos-windowed sinc, Duchon 1979).
"""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.distortion import Distortion
from reconstruction.strips import Image, filtered

Region = tuple[slice, slice]  # rows, columns
STEPS = 64  # a place is drawn to this fraction of a pixel
LOBES = 4  # of the windowed sinc on either side
STILL = 1  # steps; so close to whole pixels, sampling anew would cost sharpness for nothing


def in_steps(place_px: float) -> int:
    """Round a place to steps of 1/64 px; a whole number of pixels where it lies within 0.02 px of one."""
    steps = math.floor(place_px * STEPS + 0.5)
    beyond = (steps + STEPS // 2) % STEPS - STEPS // 2
    return steps - beyond if abs(beyond) <= STILL else steps


def whole_and_rest(steps: int) -> tuple[int, int]:
    """Split a place into the nearest whole pixel and what is left, -32 to 31 steps."""
    rest = (steps + STEPS // 2) % STEPS - STEPS // 2
    return (steps - rest) // STEPS, rest


@lru_cache(maxsize=STEPS)
def kernel(rest: int) -> Image:
    """Weights of 2 * LOBES + 1 pixels that move an image by `rest` steps towards larger coordinates."""
    at = np.arange(-LOBES, LOBES + 1) + rest / STEPS
    weights = np.where(np.abs(at) < LOBES, np.sinc(at) * np.sinc(at / LOBES), 0.0)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def moved(frame: NDArray[Any], region: Region, rest: tuple[int, int]) -> Image:
    """Cut a region out of a frame (y, x) that is moved by `rest` (x, y) steps; its rim is continued outwards."""
    if rest == (0, 0):
        return frame[region].astype(np.float32)
    wide, inside = _widened(frame.shape, region, LOBES)
    part = frame[wide].astype(np.float32)
    return filtered(part, kernel(rest[0]), kernel(rest[1]))[inside]


def _widened(shape: tuple[int, ...], region: Region, margin: int) -> tuple[Region, Region]:
    """A region with a margin as far as the frame goes, and where the region lies in it."""
    starts = [max(part.start - margin, 0) for part in region]
    stops = [min(part.stop + margin, size) for part, size in zip(region, shape, strict=True)]
    wide = slice(starts[0], stops[0]), slice(starts[1], stops[1])
    rows, columns = (slice(part.start - start, part.stop - start) for part, start in zip(region, starts, strict=True))
    return wide, (rows, columns)


class Bend:
    """Takes a distortion out of frames of one shape, of which `scale` pixels lie on one of the source's."""

    def __init__(self, distortion: Distortion, shape: tuple[int, int], scale: int = 1) -> None:
        field = distortion.displacement_px(shape) * np.float32(scale)
        rows, columns = (np.arange(size, dtype=np.float32) for size in shape)
        straight = np.broadcast_to(columns, shape), np.broadcast_to(rows[:, None], shape)
        x, y = straight
        for _ in range(3):  # what belongs to p is seen at q, where q + field(q) = p; the field is smooth and small
            there = [_sampled(part, x, y, cv2.INTER_LINEAR) for part in field]
            x, y = straight[0] - there[0], straight[1] - there[1]
        self._x, self._y = x, y
        self.margin_px = math.ceil(float(np.abs(field).max())) + 1  # at the rim: not everything there was seen

    def straightened(self, frame: NDArray[Any], region: Region, rest: tuple[int, int]) -> Image:
        """Cut a region out of a frame that is straightened and moved by `rest` (x, y) steps."""
        wide, _ = _widened(frame.shape, region, self.margin_px + LOBES)
        x = self._x[region] - np.float32(rest[0] / STEPS + wide[1].start)
        y = self._y[region] - np.float32(rest[1] / STEPS + wide[0].start)
        return _sampled(frame[wide].astype(np.float32), x, y, cv2.INTER_CUBIC)


def _sampled(image: Image, x: Image, y: Image, how: int) -> Image:
    return np.asarray(cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
