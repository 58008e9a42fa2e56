"""The part of two tiles that may show the same specimen, made ready for correlation."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HIGH_PASS_PX = 16.0  # sigma; shading and charging are broader, edges and grain finer; at 12, strips are 0.002 px off
COARSE = 4
TAPER_PX = 12
LEAST_STRIP_PX = 12
REACH_FRACTION = 0.015  # of the longer side of a tile
LEAST_REACH_PX = 24
WIDER = 4  # factor of the second search
WIDEST_PX = 256  # of the third

Image = NDArray[np.float32]


def base_reach_px(tile_shape: tuple[int, int]) -> int:
    """Tell how far a stage is taken to be wrong at first, px."""
    return max(LEAST_REACH_PX, math.ceil(REACH_FRACTION * max(tile_shape)))


def wider_reaches_px(tile_shape: tuple[int, int]) -> list[int]:
    """Tell how far to look, one after the other, where nothing was found within the first reach, px."""
    limit, base = min(min(tile_shape) // 3, WIDEST_PX), base_reach_px(tile_shape)
    wider = min(WIDER * base, min(tile_shape) // 3)
    return [wider, limit] if limit > wider else [wider]


@dataclass(frozen=True)
class Windows:
    """Equal strips of two tiles, as (y, x) slices, and the displacement of the second when they show the same."""

    first: tuple[slice, slice]
    second: tuple[slice, slice]
    origin_px: tuple[int, int]  # (y, x): displacement of the tiles if the strips match without a shift


def windows(shape: tuple[int, int], nominal_px: tuple[float, float], reach_px: int) -> Windows | None:
    """Cut the overlap of two tiles displaced by `nominal_px` (y, x) give or take the reach; None if there is none."""
    axes = [_window(size, round(step), reach_px) for size, step in zip(shape, nominal_px, strict=True)]
    if any(length < LEAST_STRIP_PX for _, _, length in axes):
        return None
    (y_first, y_second, height), (x_first, x_second, width) = axes
    return Windows(
        (slice(y_first, y_first + height), slice(x_first, x_first + width)),
        (slice(y_second, y_second + height), slice(x_second, x_second + width)),
        (y_first - y_second, x_first - x_second),
    )


def _window(size: int, step: int, reach: int) -> tuple[int, int, int]:
    """Start in the first tile, start in the second, length; along one axis."""
    first = max(0, step - reach)
    second = max(0, -step - reach)
    return first, second, size - max(first, second)


def overlap_pixels(shape: tuple[int, int], nominal_px: tuple[float, float]) -> int:
    """Count the pixels that two tiles displaced by `nominal_px` (y, x) share."""
    return math.prod(max(0, size - round(abs(step))) for size, step in zip(shape, nominal_px, strict=True))


def high_passed(strip: NDArray[Any]) -> Image:
    """Remove shading: float32, about zero everywhere.

    First a plane, which a blur would bend at the rims, where faint structure then counts for less than shading does.
    """
    image = strip.astype(np.float32)
    rows, columns = image.shape
    few = -(-columns // COARSE), -(-rows // COARSE)  # what is broad needs no more: a third of the time
    small = np.asarray(cv2.resize(image, few, interpolation=cv2.INTER_AREA), np.float32)
    plane = _plane(small)
    broad = cv2.GaussianBlur(small - plane, (0, 0), HIGH_PASS_PX / COARSE) + plane
    image -= cv2.resize(broad, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return image


def _plane(image: Image) -> Image:
    """Give the plane through an image that leaves the least squares, without its mean."""
    slopes = []
    for axis, size in enumerate(image.shape):
        at = np.linspace(-1, 1, size, dtype=np.float32)
        slopes.append(at * (float(image.mean(axis=1 - axis) @ at) / max(float(at @ at), 1.0)))
    return np.asarray(slopes[0][:, None] + slopes[1][None, :])


def smoothed(image: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.float32)


def filtered(image: Image, across: Image, down: Image) -> Image:
    """Weigh neighbours along rows, then along columns; the rim is continued outwards.

    `filter2D` twice takes less than half of the time of `sepFilter2D`, which does not vectorise columns.
    """
    rows = cv2.filter2D(image, -1, across[None, :], borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.filter2D(rows, -1, down[:, None], borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def tapered(image: Image) -> Image:
    """Let the image fade at its rim, so that the rim does not correlate with itself."""
    return image * taper(image.shape[0])[:, None] * taper(image.shape[1])[None, :]


@lru_cache(maxsize=64)
def taper(size: int) -> Image:
    """Raised cosine over `TAPER_PX` at both ends, at most an eighth of the strip."""
    width = max(1, min(TAPER_PX, size // 8))
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
    window = np.ones(size, np.float32)
    window[:width] = ramp
    window[-width:] = ramp[::-1]
    return window
