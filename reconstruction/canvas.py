"""The rectangle of whole pixels on which a mosaic is drawn, and its blocks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconstruction.errors import InputError
from reconstruction.placement import PlacedTile
from reconstruction.resampling import in_steps, whole_and_rest
from reconstruction.sources import Tile

BLOCK_PX = 1024  # side of a block, which is one shard
MOST_PX = 10**12  # of a mosaic; beyond, a slip in a list of positions is likelier than a specimen
Block = tuple[int, int]  # row, column


def whole(position_px: float) -> int:
    """Give the pixel at which something is drawn that lies there: rounded, halves upwards."""
    return whole_and_rest(in_steps(position_px))[0]


@dataclass(frozen=True)
class Canvas:
    """`x_px`, `y_px`: place of its first pixel in the source's frame."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height_px, self.width_px

    @property
    def area_px(self) -> int:
        return self.height_px * self.width_px

    def blocks(self) -> Iterator[Block]:
        """Yield every block, row by row."""
        for row in range(-(-self.height_px // BLOCK_PX)):
            for column in range(-(-self.width_px // BLOCK_PX)):
                yield row, column

    def box(self, block: Block) -> "Canvas":
        """Give the part of the canvas that a block covers; the last ones are cut at the rim."""
        top, left = block[0] * BLOCK_PX, block[1] * BLOCK_PX
        return Canvas(
            self.x_px + left,
            self.y_px + top,
            min(BLOCK_PX, self.width_px - left),
            min(BLOCK_PX, self.height_px - top),
        )

    def touched_by(self, box: "Canvas") -> Iterator[Block]:
        """Yield the blocks that share a pixel with a box."""
        left, top = max(box.x_px - self.x_px, 0), max(box.y_px - self.y_px, 0)
        right = min(box.x_px - self.x_px + box.width_px, self.width_px)
        bottom = min(box.y_px - self.y_px + box.height_px, self.height_px)
        if right <= left or bottom <= top:
            return
        for row in range(top // BLOCK_PX, (bottom - 1) // BLOCK_PX + 1):
            for column in range(left // BLOCK_PX, (right - 1) // BLOCK_PX + 1):
                yield row, column

    def common(self, other: "Canvas") -> "Canvas | None":
        """Give the part that two canvases share; None if there is none."""
        left, top = max(self.x_px, other.x_px), max(self.y_px, other.y_px)
        right = min(self.x_px + self.width_px, other.x_px + other.width_px)
        bottom = min(self.y_px + self.height_px, other.y_px + other.height_px)
        return Canvas(left, top, right - left, bottom - top) if right > left and bottom > top else None

    def within(self, other: "Canvas") -> tuple[slice, slice]:
        """Give this part of another canvas as slices (rows, columns) of its pixels."""
        left, top = self.x_px - other.x_px, self.y_px - other.y_px
        return slice(top, top + self.height_px), slice(left, left + self.width_px)

    def times(self, scale: int) -> "Canvas":
        """Give the same area with `scale` pixels to each."""
        return Canvas(scale * self.x_px, scale * self.y_px, scale * self.width_px, scale * self.height_px)

    def grown(self, by: int) -> "Canvas":
        """Give this canvas with a margin on all sides."""
        return Canvas(self.x_px - by, self.y_px - by, self.width_px + 2 * by, self.height_px + 2 * by)

    def holds(self, other: "Canvas") -> bool:
        """Tell whether another canvas lies inside."""
        return self.union(other) == self

    def ahead_of(self, before: "Canvas") -> "Canvas":
        """Give this canvas with half of its size to spare on each side on which it is larger than one before."""
        both = self.union(before)
        left, top = both.x_px < before.x_px, both.y_px < before.y_px
        right = both.x_px + both.width_px > before.x_px + before.width_px
        bottom = both.y_px + both.height_px > before.y_px + before.height_px
        wide, high = both.width_px // 2, both.height_px // 2
        return Canvas(
            both.x_px - wide * left,
            both.y_px - high * top,
            both.width_px + wide * (left + right),
            both.height_px + high * (top + bottom),
        )

    def union(self, other: "Canvas") -> "Canvas":
        """Give the smallest canvas that holds both."""
        left, top = min(self.x_px, other.x_px), min(self.y_px, other.y_px)
        right = max(self.x_px + self.width_px, other.x_px + other.width_px)
        bottom = max(self.y_px + self.height_px, other.y_px + other.height_px)
        return Canvas(left, top, right - left, bottom - top)


def refuse_endless(canvas: Canvas) -> None:
    """Raise InputError for a canvas of more than `MOST_PX`."""
    if canvas.area_px > MOST_PX:
        size = f"{canvas.width_px} x {canvas.height_px} px"
        raise InputError(f"positions: they span a mosaic of {size}, which is outside 1..{MOST_PX:.0e} px")


def around(tiles: Iterable[Tile | PlacedTile], tile_shape: tuple[int, int], margin_px: int = 0) -> Canvas:
    """Give the smallest canvas that holds tiles at their whole-pixel places, and a margin around."""
    corners = [(whole(tile.x_px), whole(tile.y_px)) for tile in tiles]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right, bottom = max(x for x, _ in corners) + tile_shape[1], max(y for _, y in corners) + tile_shape[0]
    return Canvas(left, top, right - left, bottom - top).grown(margin_px)
