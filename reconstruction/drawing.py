"""Which blocks of a mosaic need to be drawn, and their pixels."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reconstruction.brightness import Brightness
from reconstruction.canvas import BLOCK_PX, Block, Canvas
from reconstruction.distortion import Distortion
from reconstruction.frame_cache import Frames, ImageCache
from reconstruction.fusion import Fusion, blend
from reconstruction.mosaic import Mosaic
from reconstruction.placement import Placement
from reconstruction.resampling import STEPS, Bend, in_steps, whole_and_rest
from reconstruction.sources import Tile
from reconstruction.strips import Image
from reconstruction.tile_view import Laying, TileView

MEANS_SHARE = 16  # of the memory for frames, for their means over squares: about as many, and a few more
LEAST_BAND = 4  # rows of blocks that are drawn together, column by column


@dataclass(frozen=True)
class Layer:
    """Frames and the names under which the mosaic shows them; `scale` pixels of them lie on one of the source's.

    Frames that are made `ahead` are only waited for in the end.
    """

    names: tuple[str, ...]
    frames: Frames
    scale: int = 1
    ahead: bool = False


class Spot(NamedTuple):
    """What a tile adds to a block: which take, its place in steps, its exposure against the others."""

    tile: int
    take: int
    x_steps: int
    y_steps: int
    gain: float


class Signature(NamedTuple):
    """What a block was drawn from; the same signature gives the same bytes."""

    spots: tuple[Spot, ...] = ()
    shading: tuple[float, ...] = ()
    distortion: Distortion | None = None
    draft: bool = False


EMPTY = Signature()


class Tolerance(NamedTuple):
    """How far a drawn tile may be from what is known by now: place, and brightness as a fraction.

    What is drawn as a draft shows each tile as it is, at whole pixels and over those before it, in less than half of
    the time (28 ms a frame of 2160 x 2560 px, 64 otherwise).
    """

    px: float = 0.0
    brightness: float = 0.0
    draft: bool = False


EXACT = Tolerance()
LIVE = Tolerance(px=1.0, brightness=0.02)
DRAFT = Tolerance(px=1.0, brightness=math.inf, draft=True)


class _Means(NamedTuple):
    """The means of a tile over squares, which depend on its place and on nothing else that changes."""

    spot: Spot
    distortion: Distortion | None
    laying: Laying

    def key(self) -> Hashable:
        return self.spot, self.distortion

    def made(self) -> Image:
        return self.laying.means()


class Drawing:
    """Keeps a mosaic in step with the places of its tiles."""

    def __init__(
        self,
        mosaic: Mosaic,
        layers: Sequence[Layer],
        tile_shape: tuple[int, int],
        dtype: np.dtype[Any],
        fusion: Fusion,
        pool: Executor,
        drew: Callable[[], None],
    ) -> None:
        """Go on with what a mosaic holds; `drew` is called after each block, in the thread that asked for it."""
        self.mosaic = mosaic
        self._layers = [_LayerDrawing(mosaic, layer, tile_shape, dtype, fusion, pool, drew) for layer in layers]

    def update(
        self, placement: Placement, brightness: Brightness, tolerance: Tolerance = EXACT, wait: bool = True
    ) -> int:
        """Draw every block whose tiles changed or moved by more than the tolerance; return how many.

        Args:
            wait: for frames that are made ahead; otherwise blocks that need them are left for later.
        """
        return sum(layer.update(placement, brightness, tolerance, wait) for layer in self._layers)

    def move_to(self, path: Path) -> None:
        """Put the mosaic in the place of the one at `path`, and go on there."""
        self.mosaic = self.mosaic.replace(path)
        for layer in self._layers:
            layer.go_on_in(self.mosaic)


class _LayerDrawing:
    def __init__(
        self,
        mosaic: Mosaic,
        layer: Layer,
        tile_shape: tuple[int, int],
        dtype: np.dtype[Any],
        fusion: Fusion,
        pool: Executor,
        drew: Callable[[], None],
    ) -> None:
        self._canvas = mosaic.canvas_of(layer.names[0])
        self._pyramid = mosaic.pyramid(layer.names)
        self._layer = layer
        self._tile_shape = tile_shape[0] * layer.scale, tile_shape[1] * layer.scale
        self._dtype = dtype
        self._fusion = fusion
        self._pool = pool
        self._drew = drew
        self._means = ImageCache(_Means.made, _Means.key, layer.frames.limit_bytes // MEANS_SHARE)
        self._bend = lru_cache(maxsize=1)(self._new_bend)
        self._drawn: dict[Block, Signature] = {}
        if not mosaic.reopened:
            self._drawn = dict.fromkeys(self._canvas.blocks(), EMPTY)

    def go_on_in(self, mosaic: Mosaic) -> None:
        """Draw on in a mosaic that holds the same."""
        self._pyramid = mosaic.pyramid(self._layer.names)

    def update(self, placement: Placement, brightness: Brightness, tolerance: Tolerance, wait: bool) -> int:
        tiles = {index: entry.tile for index, entry in placement.tiles.items()}
        wanted = self._signatures(placement, brightness)
        dirty = {
            block
            for block in self._canvas.blocks()
            if not _alike(self._drawn.get(block), wanted.get(block, EMPTY), tolerance)
        }
        if (
            tolerance != EXACT
        ):  # while the scan goes on, leave alone what an earlier worker drew and nothing here covers
            dirty = {block for block in dirty if block in wanted or block in self._drawn}
        if self._layer.ahead and not wait:
            there = {index for index, tile in tiles.items() if self._layer.frames.has(tile)}
            dirty = {block for block in dirty if all(spot.tile in there for spot in wanted.get(block, EMPTY).spots)}

        def draw(block: Block) -> NDArray[Any]:
            return self._draw(block, wanted.get(block, EMPTY)._replace(draft=tolerance.draft), tiles)

        self._pyramid.update(dirty, draw, self._pool, self._band(), self._drew)
        return len(dirty)

    def _band(self) -> int:
        """Rows of blocks that are drawn together: a power of two, and twice as high as a tile at least."""
        band = LEAST_BAND
        while band * BLOCK_PX < 2 * self._tile_shape[0]:
            band *= 2
        return band

    def _signatures(self, placement: Placement, brightness: Brightness) -> dict[Block, Signature]:
        """Tell for every covered block which tiles touch it, by ascending index."""
        found: dict[Block, list[Spot]] = {}
        for index in sorted(placement.tiles):
            placed = placement.tiles[index]
            x, y = self._steps(placed.x_px), self._steps(placed.y_px)
            spot = Spot(index, placed.tile.take, x, y, brightness.gains.get(index, 1.0))
            corner = whole_and_rest(x)[0], whole_and_rest(y)[0]
            for block in self._canvas.touched_by(Canvas(*corner, self._tile_shape[1], self._tile_shape[0])):
                found.setdefault(block, []).append(spot)
        distortion = placement.distortion if self._fusion.sub_pixel else None
        return {block: Signature(tuple(spots), brightness.shading, distortion) for block, spots in found.items()}

    def _steps(self, place_px: float) -> int:
        steps = in_steps(place_px * self._layer.scale)
        return steps if self._fusion.sub_pixel else STEPS * whole_and_rest(steps)[0]

    def _draw(self, block: Block, signature: Signature, tiles: Mapping[int, Tile]) -> NDArray[Any]:
        box = self._canvas.box(block)
        if signature.draft:
            image = self._drafted(box, signature.spots, tiles)
        else:
            views = [self._view(tiles[spot.tile], spot, signature) for spot in signature.spots]
            image = blend(box, views, self._dtype, self._fusion.blend)
        self._drawn[block] = signature
        return image

    def _drafted(self, box: Canvas, spots: Sequence[Spot], tiles: Mapping[int, Tile]) -> NDArray[Any]:
        image = np.zeros(box.shape, self._dtype)
        for spot in spots:
            frame = self._layer.frames.get(tiles[spot.tile])
            at = Canvas(whole_and_rest(spot.x_steps)[0], whole_and_rest(spot.y_steps)[0], *frame.shape[::-1])
            if part := at.common(box):
                image[part.within(box)] = frame[part.within(at)]
        return image

    def _view(self, tile: Tile, spot: Spot, signature: Signature) -> TileView:
        bend = self._bend(signature.distortion)
        laying = Laying(self._layer.frames.get(tile), (spot.x_steps, spot.y_steps), bend)
        means = _Means(spot._replace(gain=1.0), signature.distortion, laying)
        return TileView(laying, lambda: self._means.get(means), spot.gain, signature.shading)

    def _new_bend(self, distortion: Distortion | None) -> Bend | None:
        return Bend(distortion, self._tile_shape, self._layer.scale) if distortion else None


def _alike(drawn: Signature | None, wanted: Signature, tolerance: Tolerance) -> bool:
    if drawn is None or len(drawn.spots) != len(wanted.spots):
        return False
    if tolerance == EXACT:
        return drawn == wanted
    return _near(drawn.shading, wanted.shading, tolerance.brightness) and all(
        one.tile == other.tile
        and one.take == other.take
        and max(abs(one.x_steps - other.x_steps), abs(one.y_steps - other.y_steps)) <= tolerance.px * STEPS
        and abs(one.gain / other.gain - 1) <= tolerance.brightness
        for one, other in zip(drawn.spots, wanted.spots, strict=True)
    )


def _near(first: Iterable[float], second: Iterable[float], tolerance: float) -> bool:
    """Compare two lists of coefficients, where what is missing is 0."""
    return all(abs(one - other) <= tolerance for one, other in zip_longest(first, second, fillvalue=0.0))
