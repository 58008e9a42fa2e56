"""Follow a source to its mosaic: register what arrives, place it, draw what changed.

The result depends on frames, nominal places and edges alone, not on batches, timing or restarts.
"""

import time
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconstruction.canvas import Canvas, around, refuse_endless
from reconstruction.drawing import Drawing, Layers
from reconstruction.frame_cache import FrameCache
from reconstruction.mosaic import Mosaic
from reconstruction.neighbours import Neighbourhood
from reconstruction.placement import Placement, place
from reconstruction.registration import Edge, register
from reconstruction.restore import Restorer
from reconstruction.sources import FrameSource, Tile
from reconstruction.strips import base_reach_px

MOSAIC_NAME = "mosaic.zarr"
CACHE_BYTES = 512 * 2**20  # a layer, at most
CACHED_BAND = 2.0  # tile heights: the row that arrives, the one before and the one between; the others are done with
REDRAW_S = 0.5  # between two drawings while the scan goes on
REDRAW_SHARE = 2.0  # times as long as the last drawing took, at least
LIVE_TOLERANCE_PX = 1  # a tile may be drawn this far off until the end


@dataclass(frozen=True)
class Progress:
    """How far the worker is."""

    tiles: int
    planned: int
    edges: int
    accepted: int
    blocks_drawn: int
    finished: bool


@dataclass(frozen=True)
class Reconstruction:
    """All that is known about a finished mosaic."""

    tiles: list[Tile]  # those that arrived, in planned order
    planned: int
    tile_shape: tuple[int, int]
    pixel_size_um: float | None
    placement: Placement
    edges: list[Edge]
    mosaic_path: Path
    canvas: Canvas
    model: str
    model_sha256: str | None
    seconds: dict[str, float]  # register, place, draw, total


def first_canvas(source: FrameSource) -> Canvas:
    """Where the mosaic of a source is drawn, unless tiles turn out to lie outside.

    Raises:
        InputError: the nominal places span more than any mosaic.
    """
    canvas = around(source.planned(), source.tile_shape, base_reach_px(source.tile_shape))
    refuse_endless(canvas)
    return canvas


def cache_bytes(source: FrameSource) -> int:
    """How much memory a layer's frames may take: those of a band of the mosaic, across or down, not of all of it."""
    rows, columns = source.tile_shape
    planned = source.planned()
    frames = max(
        _most_within([tile.y_px for tile in planned], CACHED_BAND * rows),
        _most_within([tile.x_px for tile in planned], CACHED_BAND * columns),
    )
    return min(frames * rows * columns * source.dtype.itemsize, CACHE_BYTES)


def _most_within(places_px: Sequence[float], length_px: float) -> int:
    """The greatest number of places within any stretch of a length."""
    ordered = sorted(places_px)
    return max((bisect(ordered, first + length_px) - i for i, first in enumerate(ordered)), default=0)


def follow(source: FrameSource, out: Path, restorer: Restorer, progress: Callable[[Progress], None]) -> Reconstruction:
    """Reconstruct a source into `out`/mosaic.zarr while its frames arrive; go on where a killed worker stopped."""
    return _Worker(source, out, restorer, progress).run()


class _Worker:
    def __init__(
        self, source: FrameSource, out: Path, restorer: Restorer, progress: Callable[[Progress], None]
    ) -> None:
        self._source = source
        self._path = out / MOSAIC_NAME
        self._restorer = restorer
        self._progress = progress
        limit_bytes = cache_bytes(source)
        self._raw = FrameCache(source.pixels, limit_bytes)
        restored = FrameCache(lambda tile: restorer.restore(self._raw.get(tile)), limit_bytes)
        self._layers = Layers(self._raw, restored, restorer.name == "none")
        self._known = {(edge.a, edge.b): edge for edge in source.known_edges()}
        self._edges: dict[tuple[int, int], Edge] = {}
        self._tiles: dict[int, Tile] = {}
        self._neighbourhood = Neighbourhood(source.tile_shape)
        self._blocks_drawn = 0
        self._seconds = {"register": 0.0, "place": 0.0, "draw": 0.0, "total": 0.0}

    def run(self) -> Reconstruction:
        started = time.perf_counter()
        drawing = self._drawing(self._path, first_canvas(self._source))
        next_drawing = 0.0
        pending = False
        for batch in self._source.follow():
            if self._arrive(batch):
                drawing = self._drawing(self._path, first_canvas(self._source))
            pending = pending or bool(batch)
            if pending and time.perf_counter() >= next_drawing:
                before = time.perf_counter()
                drawing = self._grown(drawing, self._place())
                took = time.perf_counter() - before
                next_drawing = time.perf_counter() + max(REDRAW_S, REDRAW_SHARE * took)
                pending = False
            self._tell(finished=False)
        placement = self._place()
        mosaic = self._finish(drawing, placement)
        self._seconds["total"] = time.perf_counter() - started
        self._tell(finished=True)
        return self._reconstruction(placement, mosaic)

    def _drawing(self, path: Path, canvas: Canvas) -> Drawing:
        path.parent.mkdir(parents=True, exist_ok=True)
        mosaic = Mosaic.create(path, canvas, self._source.dtype, self._source.pixel_size_um)
        return Drawing(mosaic, self._layers, self._source.tile_shape, self._source.dtype)

    def _grown(self, drawing: Drawing, placement: Placement) -> Drawing:
        """Draw where tiles are by now; on a larger canvas if more is planned, for of a video nobody knows the end."""
        canvas = first_canvas(self._source)
        if not drawing.mosaic.canvas.holds(canvas):
            self._layers.allow(cache_bytes(self._source))
            canvas = canvas.ahead_of(drawing.mosaic.canvas)
            drawing = self._drawing(self._path.with_name(self._path.name + ".larger"), canvas)
            self._draw(drawing, placement, 0)
            drawing.mosaic = drawing.mosaic.replace(self._path)
        else:
            self._draw(drawing, placement, LIVE_TOLERANCE_PX)
        return drawing

    def _arrive(self, batch: Sequence[Tile]) -> bool:
        """Register what arrived with its neighbours; whether tiles known before have moved to other places."""
        started = time.perf_counter()
        again = [tile for tile in batch if tile.index in self._tiles]
        moved = any(replace(tile, take=self._tiles[tile.index].take) != self._tiles[tile.index] for tile in again)
        if again:
            batch = self._all_with(again) + [tile for tile in batch if tile.index not in self._tiles]
            self._tiles, self._edges, self._neighbourhood = {}, {}, Neighbourhood(self._source.tile_shape)
        for tile in batch:
            self._add(tile)
        self._seconds["register"] += time.perf_counter() - started
        return moved

    def _all_with(self, again: Sequence[Tile]) -> list[Tile]:
        """Give all tiles as they are now, and remember the edges of those whose frame is still the same."""
        retaken = {tile.index for tile in again if tile.take != self._tiles[tile.index].take}
        known = self._known | self._edges
        self._known = {key: edge for key, edge in known.items() if retaken.isdisjoint(key)}
        return list((self._tiles | {tile.index: tile for tile in again}).values())

    def _add(self, tile: Tile) -> None:
        self._tiles[tile.index] = tile
        for other in self._neighbourhood.add(tile):
            first, second = sorted((tile, other), key=lambda each: each.index)
            key = (first.index, second.index)
            if key in self._known:
                self._edges[key] = self._known[key]
                continue
            nominal_px = (second.x_px - first.x_px, second.y_px - first.y_px)
            edge = register(*key, self._raw.get(first), self._raw.get(second), nominal_px)
            self._edges[key] = edge
            self._source.report_edge(edge)

    def _place(self) -> Placement:
        started = time.perf_counter()
        placement = place(list(self._tiles.values()), list(self._edges.values()))
        self._seconds["place"] += time.perf_counter() - started
        return placement

    def _draw(self, drawing: Drawing, placement: Placement, tolerance_px: int) -> None:
        started = time.perf_counter()
        self._blocks_drawn += drawing.update(placement.tiles, tolerance_px)
        self._seconds["draw"] += time.perf_counter() - started

    def _finish(self, drawing: Drawing, placement: Placement) -> Mosaic:
        """Draw the final places; on a larger canvas, in a new folder, if a tile lies outside of the first one."""
        canvas = first_canvas(self._source)
        if placement.tiles:
            canvas = canvas.union(around(placement.tiles.values(), self._source.tile_shape))
        if canvas == drawing.mosaic.canvas:
            self._draw(drawing, placement, 0)
            return drawing.mosaic
        larger = self._drawing(self._path.with_name(self._path.name + ".larger"), canvas)
        self._draw(larger, placement, 0)
        return larger.mosaic.replace(self._path)

    def _tell(self, finished: bool) -> None:
        accepted = sum(edge.accepted for edge in self._edges.values())
        counts = (len(self._tiles), len(self._source.planned()), len(self._edges), accepted, self._blocks_drawn)
        self._progress(Progress(*counts, finished))

    def _reconstruction(self, placement: Placement, mosaic: Mosaic) -> Reconstruction:
        return Reconstruction(
            tiles=[self._tiles[index] for index in sorted(self._tiles)],
            planned=len(self._source.planned()),
            tile_shape=self._source.tile_shape,
            pixel_size_um=self._source.pixel_size_um,
            placement=placement,
            edges=[self._edges[key] for key in sorted(self._edges)],
            mosaic_path=mosaic.path,
            canvas=mosaic.canvas,
            model=self._restorer.name,
            model_sha256=self._restorer.sha256,
            seconds=dict(self._seconds),
        )
