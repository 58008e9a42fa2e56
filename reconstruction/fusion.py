"""Blend tiles into a block: copied where only one is, mixed where they overlap.

`feather` weighs tiles by the distance to their rims over the whole overlap: that averages noise there, and doubles
edges where tiles do not quite fit. `bands` mixes only what is broad that way, and takes what is fine from the tile
whose rim is further away, across a narrow transition: two bands of the pyramid of Burt and Adelson (1983).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Canvas
from reconstruction.errors import InputError

Image = NDArray[np.float32]
Blend = Literal["feather", "bands"]
BROAD_STEP_PX = 8  # side of the squares in which what is broad is mixed
BEYOND_PX = 1e-3  # from a tile's rim: how much what continues it counts outside, where nobody sees anything
TRANSITION = 0.25  # of a tile's weight, over which it fades behind another one: an eighth of the overlap's width


@dataclass(frozen=True)
class Fusion:
    """How tiles become one picture; each correction can be left out for the sake of measuring in the mosaic."""

    blend: Blend = "bands"
    flat_field: bool = True  # take out the shading common to all tiles
    exposure: bool = True  # take out the brightness of each tile against its neighbours
    sub_pixel: bool = True  # draw tiles between pixels, and without their distortion


def blend_named(name: str) -> Blend:
    """Check the name of a way to blend.

    Raises:
        InputError: there is none of that name.
    """
    for known in get_args(Blend):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise InputError(f"blend: {name!r} is not one of {', '.join(get_args(Blend))}")


class Laid(Protocol):
    """A tile on the mosaic, ready to be cut."""

    @property
    def box(self) -> Canvas:
        """Where it has pixels."""

    def pixels(self, box: Canvas) -> Image:
        """Cut its pixels (y, x) from a part of its box."""

    def broad(self, box: Canvas) -> Image:
        """Give what is broad in it, for squares of `BROAD_STEP_PX` of any box; beyond its rim, as on the rim."""


def blend(box: Canvas, tiles: Sequence[Laid], dtype: np.dtype[Any], how: Blend) -> NDArray[Any]:
    """Draw tiles on a box; 0 where there is none.

    The same tiles in the same order give the same bytes; the caller keeps the order.
    """
    image = np.zeros(box.shape, np.float32)
    shared = [tile.box.common(box) for tile in tiles]
    on_box = [_Part(tile, part, tile.pixels(part)) for tile, part in zip(tiles, shared, strict=True) if part]
    for each in on_box:
        image[each.part.within(box)] = each.pixels
    crowded = _crowded(box, [each.part for each in on_box])
    lifts = _lifts(box, [each.tile for each in on_box]) if crowded and how == "bands" else None
    for place in crowded:
        image[place.within(box)] = _mixed(place, on_box, box, lifts)
    return rounded(image, dtype)


class _Part(NamedTuple):
    """What a tile shows of a box."""

    tile: Laid
    part: Canvas
    pixels: Image

    def within(self, box: Canvas) -> "_Part | None":
        """Cut what it shows of a smaller box; None if that is nothing."""
        part = self.part.common(box)
        return _Part(self.tile, part, self.pixels[part.within(self.part)]) if part else None

    def share(self) -> Image:
        return feather(self.tile.box.shape)[self.part.within(self.tile.box)]


def rounded(image: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round to whole grey values (halves to even ones), and keep to their range."""
    return np.asarray(
        cv2.addWeighted(image, 1.0, image, 0.0, 0.0, dtype=cv2.CV_8U if dtype.itemsize == 1 else cv2.CV_16U)
    )


def _crowded(box: Canvas, parts: Sequence[Canvas]) -> list[Canvas]:
    """Where two tiles meet, without what lies within another such place; all of the box if that is no less."""
    pairs = (first.common(second) for i, first in enumerate(parts) for second in parts[:i])
    places = list(dict.fromkeys(place for place in pairs if place))
    places = [place for place in places if not any(place != other and place.common(other) == place for other in places)]
    return places if sum(place.area_px for place in places) < box.area_px else [box]


def _mixed(place: Canvas, on_box: Sequence[_Part], box: Canvas, lifts: Sequence[Image] | None) -> Image:
    """Weighted mean of what tiles show of a place on a box; in two bands if what is broad is to be lifted."""
    limit = np.zeros(place.shape, np.float32)  # what a share must exceed to count
    here = [(cut, i) for i, each in enumerate(on_box) if (cut := each.within(place))]
    if lifts is not None:
        for each, _ in here:
            greatest = limit[each.part.within(place)]
            np.maximum(greatest, each.share(), out=greatest)
        limit *= np.float32(1 - TRANSITION)
    total, weights = np.zeros(place.shape, np.float32), np.full(place.shape, np.finfo(np.float32).tiny)
    for each, i in here:
        part = each.part.within(place)
        weight = each.share() - limit[part]
        np.maximum(weight, 0, out=weight)
        weights[part] += weight
        weight *= each.pixels if lifts is None else each.pixels + _enlarged(lifts[i], each.part.within(box))
        total[part] += weight
    return np.divide(total, weights, out=total)


def _lifts(box: Canvas, tiles: Sequence[Laid]) -> list[Image]:
    """What is broad in the mean of some tiles less what is broad in each, for squares of the box."""
    broad = [tile.broad(box) for tile in tiles]
    weights = [np.square(_feather_at(box, tile.box)) for tile in tiles]
    mean = sum(weight * image for weight, image in zip(weights, broad, strict=True)) / sum(weights)
    return [np.asarray(mean - image, dtype=np.float32) for image in broad]


def _enlarged(squares: Image, place: tuple[slice, slice]) -> Image:
    """Interpolate between squares, for a part of their box."""
    near = tuple(slice(max(part.start // BROAD_STEP_PX - 1, 0), part.stop // BROAD_STEP_PX + 2) for part in place)
    few = squares[near]
    size = few.shape[1] * BROAD_STEP_PX, few.shape[0] * BROAD_STEP_PX
    many = np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    starts = [part.start - BROAD_STEP_PX * around.start for part, around in zip(place, near, strict=True)]
    rows, columns = (slice(start, start + part.stop - part.start) for start, part in zip(starts, place, strict=True))
    return many[rows, columns]


def _feather_at(box: Canvas, tile: Canvas) -> Image:
    """Weight of a tile at the squares of a box: as `feather`, and next to nothing outside."""
    ramps = []
    for start, length, first, size in (
        (box.y_px, box.height_px, tile.y_px, tile.height_px),
        (box.x_px, box.width_px, tile.x_px, tile.width_px),
    ):
        at = start - first + BROAD_STEP_PX * (np.arange(-(-length // BROAD_STEP_PX), dtype=np.float32) + 0.5)
        ramps.append(np.maximum(np.minimum(at, size - at), BEYOND_PX) / np.float32(size / 2))
    return np.asarray(ramps[0][:, None] * ramps[1][None, :], dtype=np.float32)


@lru_cache(maxsize=4)
def feather(shape: tuple[int, int]) -> Image:
    """Weight of every pixel of a tile, (y, x) in 0..1 and nowhere 0: product of the distances to the nearer rims."""
    down, across = (_to_rim_px(size) / np.float32((size + 1) // 2) for size in shape)
    return np.asarray(down[:, None] * across[None, :])


def _to_rim_px(size: int) -> Image:
    return np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
