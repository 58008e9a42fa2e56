"""Blend tiles into a block: feathered where they overlap, copied where only one is."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Canvas

Laid = tuple[int, int, NDArray[Any]]  # x_px, y_px of the top left pixel in the source's frame; pixels (y, x)


def blend(box: Canvas, tiles: Iterable[Laid], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Draw tiles on a box, weighted by the distance to their rims; 0 where there is none.

    The same tiles in the same order give the same bytes; the caller keeps the order.
    """
    total = np.zeros(box.shape, np.float32)
    weights = np.zeros(box.shape, np.float32)
    for x, y, pixels in tiles:
        on_box, on_tile = _common(box, x, y, (pixels.shape[0], pixels.shape[1]))
        weight = feather((pixels.shape[0], pixels.shape[1]))[on_tile]
        total[on_box] += weight * pixels[on_tile]
        weights[on_box] += weight
    np.divide(total, weights, out=total, where=weights > 0)
    return np.rint(total, out=total).astype(dtype)


def _common(box: Canvas, x: int, y: int, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part that box and tile share, as (y, x) slices of either."""
    top, bottom = max(box.y_px, y), min(box.y_px + box.height_px, y + shape[0])
    left, right = max(box.x_px, x), min(box.x_px + box.width_px, x + shape[1])
    return (
        (slice(top - box.y_px, bottom - box.y_px), slice(left - box.x_px, right - box.x_px)),
        (slice(top - y, bottom - y), slice(left - x, right - x)),
    )


@lru_cache(maxsize=4)
def feather(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weight of every pixel of a tile, (y, x) in 0..1 and nowhere 0: product of the distances to the nearer rims."""
    down, across = (_ramp(size) for size in shape)
    return down[:, None] * across[None, :]


def _ramp(size: int) -> NDArray[np.float32]:
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
    return np.asarray(ramp / ramp.max())
