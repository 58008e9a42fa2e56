"""Blend tiles into a block: copied where only one is, mixed where they overlap.

`feather` weighs tiles by the distance to their rims over the whole overlap: that averages noise there, and doubles
edges where tiles do not quite fit. `bands` mixes only what is broad that way, and takes what is fine from the tile
whose rim is further away, across a narrow transition: two bands of the pyramid of Burt and Adelson (1983).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import Canvas
from reconstruction.errors import InputError
from reconstruction.feather import HIDDEN, feather, of_squares, seen_parts
from reconstruction.squares import SQUARE_PX, covering, inside
from reconstruction.strips import Image

Blend = Literal["feather", "bands"]
BROAD_SIGMA = 2.0  # squares; what is smoother than this is broad
BROAD_REACH = 9  # squares, beyond which `cv2.GaussianBlur` looks no further
MANY = 20  # tiles in a box; to look for where each two of them meet takes longer than to mix all of it


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

    @property
    def means(self) -> Image:
        """Its averages over the squares that lie whole within its box."""


def blend(box: Canvas, tiles: Sequence[Laid], dtype: np.dtype[Any], how: Blend) -> NDArray[Any]:
    """Draw tiles on a box; 0 where there is none.

    The same tiles in the same order give the same bytes; the caller keeps the order.
    """
    image = np.zeros(box.shape, np.float32)
    boxes = [tile.box for tile in tiles]
    places = _crowded(box, [part for each in boxes if (part := each.common(box))])
    if places and how == "bands":
        seen = seen_parts(box, boxes)
        squares = covering(box).grown(1)  # one more, to interpolate up to the rim
        lifts = [lift for lift, part in zip(_lifts(squares, tiles), seen, strict=True) if lift and part]
        parts = [each.lifted(lift, places) for each, lift in zip(_cut(tiles, seen), lifts, strict=True)]
        places = _crowded(box, [each.part for each in parts])
    else:
        parts = _cut(tiles, [each.common(box) for each in boxes])
    for each in parts:
        image[each.part.within(box)] = each.pixels
    for place in places:
        image[place.within(box)] = _mixed(place, parts, HIDDEN if how == "bands" else 0.0)
    return rounded(image, dtype)


class _Lift(NamedTuple):
    """What is added to a tile, and how much the tile counts, in squares."""

    squares: Canvas
    by: Image
    weight: Image

    @classmethod
    def of(cls, squares: Canvas, tile: Canvas) -> "_Lift":
        weight = np.square(of_squares(squares.times(SQUARE_PX), tile))
        return cls(squares, np.zeros(squares.shape, np.float32), weight)


class _Part(NamedTuple):
    """What a tile shows of a box."""

    tile: Canvas
    part: Canvas
    pixels: Image

    def within(self, box: Canvas) -> "_Part | None":
        """Cut what it shows of a smaller box; None if that is nothing."""
        part = self.part.common(box)
        return _Part(self.tile, part, self.pixels[part.within(self.part)]) if part else None

    def share(self) -> Image:
        return feather(self.tile.shape)[self.part.within(self.tile)]

    def lifted(self, lift: _Lift, places: Iterable[Canvas]) -> "_Part":
        """Add, in some places, what is given for squares."""
        pixels = self.pixels.copy()
        for place in places:
            if cut := self.part.common(place):
                at = cut.within(self.part)
                np.add(self.pixels[at], _enlarged(lift.by, cut.within(lift.squares.times(SQUARE_PX))), out=pixels[at])
        return self._replace(pixels=pixels)


def _cut(tiles: Sequence[Laid], parts: Sequence[Canvas | None]) -> list[_Part]:
    return [_Part(tile.box, part, tile.pixels(part)) for tile, part in zip(tiles, parts, strict=True) if part]


def rounded(image: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round to whole grey values (halves to even ones), and keep to their range."""
    return np.asarray(
        cv2.addWeighted(image, 1.0, image, 0.0, 0.0, dtype=cv2.CV_8U if dtype.itemsize == 1 else cv2.CV_16U)
    )


def _crowded(box: Canvas, parts: Sequence[Canvas]) -> list[Canvas]:
    """Where two tiles meet, without what lies within another such place; all of the box if that is no less, or many."""
    if len(parts) > MANY:
        return [box]
    pairs = (first.common(second) for i, first in enumerate(parts) for second in parts[:i])
    places = list(dict.fromkeys(place for place in pairs if place))
    places = [place for place in places if not any(place != other and place.common(other) == place for other in places)]
    return places if sum(place.area_px for place in places) < box.area_px else [box]


def _mixed(place: Canvas, parts: Iterable[_Part], hidden: float) -> Image:
    """Weighted mean of what tiles show of a place; of each only where its share exceeds so much of any other's."""
    here = [cut for each in parts if (cut := each.within(place))]
    limit = np.zeros(place.shape, np.float32)
    if hidden:
        for each in here:
            greatest = limit[each.part.within(place)]
            np.maximum(greatest, each.share(), out=greatest)
        limit *= np.float32(hidden)
    total, weights = np.zeros(place.shape, np.float32), np.full(place.shape, np.finfo(np.float32).tiny)
    for each in here:
        at = each.part.within(place)
        weight = each.share() - limit[at]
        np.maximum(weight, 0, out=weight)
        weights[at] += weight
        weight *= each.pixels
        total[at] += weight
    return np.divide(total, weights, out=total)


def _lifts(squares: Canvas, tiles: Sequence[Laid]) -> list[_Lift | None]:
    """How much brighter the mean of some tiles is than each of them, as far as that is broad; None: it has no part."""
    lifts = [_Lift.of(part, tile.box) if (part := _part(squares, tile)) else None for tile in tiles]
    total = np.zeros(squares.shape, np.float32)
    for lift in lifts:
        if lift:
            total[lift.squares.within(squares)] += lift.weight
    for (i, j), part, brighter in _steps(squares, tiles):
        one, other = lifts[i], lifts[j]
        if one and other and (both := part.common(one.squares)) and (both := both.common(other.squares)):
            step = brighter[both.within(part)]
            one.by[both.within(one.squares)] += other.weight[both.within(other.squares)] * step
            other.by[both.within(other.squares)] -= one.weight[both.within(one.squares)] * step
    for lift in lifts:
        if lift:
            np.divide(lift.by, total[lift.squares.within(squares)], out=lift.by)
    return lifts


def _part(squares: Canvas, tile: Laid) -> Canvas | None:
    """The squares around a tile up to which is interpolated."""
    return covering(tile.box).grown(1).common(squares)


def _steps(squares: Canvas, tiles: Sequence[Laid]) -> Iterator[tuple[tuple[int, int], Canvas, Image]]:
    """Yield where each two tiles meet how much brighter the second one is, as far as that is broad.

    It is the difference that is smoothed: what both show alike adds nothing, up to the very rims.
    """
    near = squares.grown(BROAD_REACH)
    there = [inside(tile.box) for tile in tiles]
    for i, j in _meeting([each.common(near) if each else None for each in there]):
        first, second = there[i], there[j]
        both = first and second and first.common(second)
        both = both and both.common(near)
        part = both and both.grown(1).common(squares)  # the squares that they share in part
        if first and second and both and part:
            step = tiles[j].means[both.within(second)] - tiles[i].means[both.within(first)]
            broad = cv2.GaussianBlur(step, (0, 0), BROAD_SIGMA, borderType=cv2.BORDER_REFLECT)
            rows, columns = (
                np.clip(np.arange(cut.start, cut.stop), 0, size - 1)
                for cut, size in zip(part.within(both), both.shape, strict=True)
            )
            yield (i, j), part, np.asarray(broad[rows[:, None], columns], dtype=np.float32)


def _meeting(boxes: Sequence[Canvas | None]) -> list[tuple[int, int]]:
    """List the pairs of boxes that share something."""
    sides = [(b.x_px, b.y_px, b.x_px + b.width_px, b.y_px + b.height_px) if b else (0, 0, 0, 0) for b in boxes]
    left, top, right, bottom = np.array(sides).T[:, :, None]
    meet = (np.maximum(left, left.T) < np.minimum(right, right.T)) & (
        np.maximum(top, top.T) < np.minimum(bottom, bottom.T)
    )
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(meet, 1))]


def _enlarged(squares: Image, place: tuple[slice, slice]) -> Image:
    """Interpolate between squares, for a part of the pixels that they cover."""
    near = tuple(slice(max(part.start // SQUARE_PX - 1, 0), part.stop // SQUARE_PX + 2) for part in place)
    few = squares[near]
    size = few.shape[1] * SQUARE_PX, few.shape[0] * SQUARE_PX
    many = np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    starts = [part.start - SQUARE_PX * around.start for part, around in zip(place, near, strict=True)]
    rows, columns = (slice(start, start + part.stop - part.start) for start, part in zip(starts, place, strict=True))
    return many[rows, columns]
