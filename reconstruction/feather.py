"""How much each tile counts where several show the same, and where it is hidden behind the others.

The weight of a tile is a ramp down times a ramp across, each 1 in the middle and next to nothing at the rims.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Canvas
from reconstruction.squares import SQUARE_PX
from reconstruction.strips import Image

BEYOND_PX = 1e-3  # from a tile's rim: how much what continues it counts outside, where nobody sees anything
TRANSITION = 0.25  # of a tile's weight, over which it fades behind another one: an eighth of the overlap's width
HIDDEN = 1 - TRANSITION  # of the weight of another tile, up to which nothing is seen of a tile


@lru_cache(maxsize=4)
def feather(shape: tuple[int, int]) -> Image:
    """Weight of every pixel of a tile, (y, x) in 0..1 and nowhere 0: product of the distances to the nearer rims."""
    down, across = (_to_rim_px(size) / np.float32((size + 1) // 2) for size in shape)
    return np.asarray(down[:, None] * across[None, :])


def _to_rim_px(size: int) -> Image:
    return np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)


def of_squares(box: Canvas, tile: Canvas, inwards_px: float = 0.0, least_px: float = BEYOND_PX) -> Image:
    """Weight of a tile at the squares of a box: as `feather`, and next to nothing outside.

    Args:
        inwards_px: how much further from the rims than the centre of each square.
        least_px: distance from the rim that counts for what is nearer or outside.
    """
    ramps = []
    for start, length, first, size in (
        (box.y_px, box.height_px, tile.y_px, tile.height_px),
        (box.x_px, box.width_px, tile.x_px, tile.width_px),
    ):
        at = start - first + SQUARE_PX * (np.arange(-(-length // SQUARE_PX), dtype=np.float32) + 0.5)
        to_rim_px = np.minimum(np.minimum(at, size - at) + np.float32(inwards_px), np.float32(size / 2))
        ramps.append(np.maximum(to_rim_px, np.float32(least_px)) / np.float32(size / 2))
    return np.asarray(ramps[0][:, None] * ramps[1][None, :], dtype=np.float32)


def seen_parts(box: Canvas, tiles: Sequence[Canvas]) -> list[Canvas | None]:
    """Give the part of a box outside of which a tile is hidden by the others; None: it is hidden everywhere."""
    half = SQUARE_PX / 2 + 1  # to the rim of a square, and a pixel for what `feather` rounds
    surely = np.max([of_squares(box, tile, -half, 0.0) for tile in tiles], axis=0) * np.float32(HIDDEN)
    return [_around(of_squares(box, tile, half, 0.0) > surely, box, tile) for tile in tiles]


def _around(seen: NDArray[np.bool_], box: Canvas, tile: Canvas) -> Canvas | None:
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    first, last = (rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)
    top, left, bottom, right = (int(SQUARE_PX * at) for at in (*first, *last))
    part = Canvas(box.x_px + left, box.y_px + top, right - left, bottom - top).common(box)
    return part.common(tile) if part else None
