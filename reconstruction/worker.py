"""Follow a source to its mosaic: register what arrives, place it, draw what changed.

The result depends on frames, nominal places and edges alone, not on batches, timing or restarts.
"""

import math
import time
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from reconstruction.brightness import Brightness, match
from reconstruction.brightness_ratios import Ratios, measure_ratios
from reconstruction.canvas import Canvas, around, refuse_endless
from reconstruction.consistency import Consistency, consistency
from reconstruction.drawing import DRAFT, EXACT, LIVE, Drawing, Layer, Tolerance
from reconstruction.frame_cache import Channel, FrameCache, Frames
from reconstruction.fusion import Fusion
from reconstruction.live_placement import LivePlacement
from reconstruction.mosaic import Mosaic
from reconstruction.neighbours import Neighbourhood
from reconstruction.pattern_learning import PatternLearning
from reconstruction.placement import Placement, place
from reconstruction.registration import Edge, register
from reconstruction.restore import Restorer, UncertainRestorer, deviation_steps
from reconstruction.restore_ahead import RestoreAhead
from reconstruction.shelf import Shelf
from reconstruction.sources import FrameSource, Tile
from reconstruction.strips import base_reach_px
from reconstruction.threads import threads

MOSAIC_NAME = "mosaic.zarr"
CACHE_BYTES = 512 * 2**20  # a layer, at most
RESTORED_BYTES = 2**30  # of restored frames, at most; each that is kept need not be restored again when it is redrawn
CACHED_BAND = 2.0  # tile heights: the row that arrives, the one before and the one between; the others are done with
REDRAW_S = 0.5  # between two drawings while the scan goes on
REDRAW_SHARE = 2.0  # times as long as the last drawing took, at least
REMATCH_SHARE = 10.0  # likewise, between two looks at the brightness of all tiles
TELL_S = 1.0  # between two words of a worker that has much to do before it is done with anything

RestoredOne = Callable[[Tile, NDArray[Any], NDArray[Any]], None]
Agreed = Callable[[Tile, Consistency], None]
"""Hears of each restored tile, from any thread, how far it agrees with what came (see `consistency`)."""


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
    fusion: Fusion
    brightness: Brightness
    consistencies: dict[int, Consistency]  # of restored tiles with what came, by their index
    seconds: dict[str, float]  # register, place, draw; until all tiles were shown; total


def _task(first: Tile | None, second: Tile | None) -> tuple[int, ...]:
    """Give what the measurement of an edge depends on, beside the two tiles: their takes, and whole pixels between."""
    if first is None or second is None:
        return ()
    return first.take, second.take, round(second.x_px - first.x_px), round(second.y_px - first.y_px)


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


def _layers_of(raw: FrameCache, restorer: Restorer, restored_one: RestoredOne) -> list[Layer]:
    """What the mosaic shows: frames as they came, restored, and how far the restorer knows that it may be off.

    `restored_one` hears each tile, as it came and restored.
    """

    def by(restore: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Tile], NDArray[Any]]:
        def restored(tile: Tile) -> NDArray[Any]:
            frame = raw.get(tile)
            made = restore(frame)
            restored_one(tile, frame, made[0] if made.ndim > frame.ndim else made)
            return made

        return restored

    if restorer.name == "none":
        return [Layer(("raw", "restored"), raw)]
    as_they_came = Layer(("raw",), raw)
    if not isinstance(restorer, UncertainRestorer):
        restored = FrameCache(by(restorer.restore), RESTORED_BYTES)
        return [as_they_came, Layer(("restored",), restored, restorer.scale, ahead=True)]
    both = FrameCache(by(restorer.restore_with_deviation), RESTORED_BYTES)
    named = enumerate(("restored", "uncertainty"))
    return [as_they_came, *(Layer((name,), Channel(both, i), restorer.scale, ahead=True) for i, name in named)]


def _most_within(places_px: Sequence[float], length_px: float) -> int:
    """The greatest number of places within any stretch of a length."""
    ordered = sorted(places_px)
    return max((bisect(ordered, first + length_px) - i for i, first in enumerate(ordered)), default=0)


def follow(
    source: FrameSource,
    out: Path,
    restorer: Restorer,
    progress: Callable[[Progress], None],
    fusion: Fusion = Fusion(),  # noqa: B008 - frozen
    live: bool = True,
    agreed: Agreed = lambda tile, found: None,
) -> Reconstruction:
    """Reconstruct a source into `out`/mosaic.zarr; go on where a killed worker stopped.

    Args:
        live: draw while frames arrive, for whoever is looking; otherwise once, at the end.
    """
    cv2.setNumThreads(1)  # of its own: they would contend with these
    with ThreadPoolExecutor(threads()) as pool:
        worker = _Worker(source, out, restorer, progress, fusion, pool, agreed)
        with RestoreAhead(worker.last_made, max(threads() - 1, 1)) as ahead:
            return worker.run(ahead if live else None)


class _Worker:
    def __init__(
        self,
        source: FrameSource,
        out: Path,
        restorer: Restorer,
        progress: Callable[[Progress], None],
        fusion: Fusion,
        pool: Executor,
        agreed: Agreed,
    ) -> None:
        self._source = source
        self._path = out / MOSAIC_NAME
        self._restorer = restorer
        self._progress = progress
        self._fusion = fusion
        self._pool = pool
        self._raw = FrameCache(source.pixels, cache_bytes(source))
        self._layers = _layers_of(self._raw, restorer, self._restored_one)
        self._agreed = agreed
        self._consistencies: dict[int, Consistency] = {}
        out.mkdir(parents=True, exist_ok=True)
        self._shelf = Shelf(out)
        self._known = {(edge.a, edge.b): edge for edge in source.known_edges()}
        self._edges: dict[tuple[int, int], Edge] = {}
        self._ratios: dict[tuple[int, int], Ratios] = {}
        self._tiles: dict[int, Tile] = {}
        self._detector = PatternLearning(self._raw.get)
        self._live = LivePlacement()
        self._brightness = Brightness()  # as it was known at `_matched_s`, which took `_matching_s`
        self._matched_s, self._matching_s = -math.inf, 0.0
        self._neighbourhood = Neighbourhood(source.tile_shape)
        self._blocks_drawn = 0
        self._newly_restored = False
        self._told_s = -math.inf
        self._drawing_s = 0.0  # that a tile took when it was drawn well while the scan went on
        self._seconds = {"register": 0.0, "place": 0.0, "draw": 0.0, "shown": 0.0, "total": 0.0}

    @property
    def last_made(self) -> Frames:
        """The frames that come of all that is done to them; where several are made at once, they share a cache."""
        return self._layers[-1].frames

    def run(self, ahead: RestoreAhead | None) -> Reconstruction:
        """Make the mosaic; while frames arrive, draw what there is of it, if they are restored ahead."""
        live = ahead is not None
        started = time.perf_counter()
        drawing = self._drawing(self._path, first_canvas(self._source))
        drawn_s, wait_s = started, 0.0
        pending = 0
        for batch in self._source.follow():
            if self._arrive(batch):
                drawing = self._drawing(self._path, first_canvas(self._source))
            pending += len(batch)
            if ahead and self._layers[-1].ahead:
                ahead.begin(batch)
            before_s = time.perf_counter()
            if live and (pending or self._newly_restored) and before_s >= drawn_s + wait_s:
                self._newly_restored = False
                placement = self._place(self._live.place)
                if before_s - self._matched_s > REMATCH_SHARE * self._matching_s:
                    self._match(placement)
                too_many = pending * self._drawing_s * (1 + REDRAW_SHARE) > before_s - drawn_s
                drawing = self._grown(drawing, placement, DRAFT if too_many else LIVE)
                drawn_s = time.perf_counter()
                if pending and not too_many:
                    self._drawing_s = (drawn_s - before_s) / pending
                wait_s = max(REDRAW_S, REDRAW_SHARE * (drawn_s - before_s))
                pending = 0
            self._tell(finished=False)
        if live and pending:  # to be seen at once, for all of it is drawn next
            drawing = self._grown(drawing, self._place(self._live.place), DRAFT)
        self._seconds["shown"] = time.perf_counter() - started
        self._settle_pattern()
        placement = self._place(place)
        self._match(placement)
        mosaic = self._finish(drawing, placement)
        self._seconds["total"] = time.perf_counter() - started
        self._tell(finished=True)
        return self._reconstruction(placement, mosaic)

    def _drawing(self, path: Path, canvas: Canvas) -> Drawing:
        scales = {name: layer.scale for layer in self._layers for name in layer.names}
        dtype, pixel_size_um = self._source.dtype, self._source.pixel_size_um
        mosaic = Mosaic.create(path, canvas, dtype, pixel_size_um, scales, self._record(scales))
        return Drawing(
            mosaic, self._layers, self._source.tile_shape, dtype, self._fusion, self._pool, self._still_at_it
        )

    def _record(self, names: Iterable[str]) -> dict[str, object]:
        """Say what was done to the pixels."""
        model = {"name": self._restorer.name, "sha256": self._restorer.sha256}
        steps_per_grey_value = deviation_steps(self._source.dtype)
        steps = {"uncertainty": {"steps_per_grey_value": steps_per_grey_value}} if "uncertainty" in names else {}
        return {"fusion": asdict(self._fusion), "model": model, **steps}

    def _grown(self, drawing: Drawing, placement: Placement, tolerance: Tolerance) -> Drawing:
        """Draw where tiles are by now; on a larger canvas if more is planned, for of a video nobody knows the end."""
        canvas = first_canvas(self._source)
        if drawing.mosaic.canvas.holds(canvas):
            self._draw(drawing, placement, tolerance, wait=False)
            return drawing
        self._raw.limit_bytes = cache_bytes(self._source)
        larger = self._larger(canvas.ahead_of(drawing.mosaic.canvas))
        self._draw(larger, placement, EXACT, wait=False)
        larger.move_to(self._path)
        return larger

    def _arrive(self, batch: Sequence[Tile]) -> bool:
        """Register what arrived with its neighbours; whether tiles known before have moved to other places."""
        started = time.perf_counter()
        again = [tile for tile in batch if tile.index in self._tiles]
        new = [tile for tile in batch if tile.index not in self._tiles]
        moved = any(replace(tile, take=self._tiles[tile.index].take) != self._tiles[tile.index] for tile in again)
        if again:
            batch = self._all_with(again) + new
            self._detector.take_again(again)
        learning = self._pool.submit(self._detector.learn_from, batch)
        pairs = {(a.index, b.index): (a, b) for tile in batch for a, b in self._pairs_with(tile)}
        if again:  # all pairs there are; the others belong to places where tiles do not lie any more
            self._edges = {key: self._edges[key] for key in pairs if key in self._edges}
            self._ratios = {key: self._ratios[key] for key in self._edges}
        self._measure([pair for key, pair in pairs.items() if key not in self._ratios])
        learning.result()
        if self._detector.complete:
            self._settle_pattern()
        self._seconds["register"] += time.perf_counter() - started
        return moved

    def _all_with(self, again: Sequence[Tile]) -> list[Tile]:
        """Give all tiles as they are now, to be taken in anew; forget what would not be measured as it was."""
        before, now = self._tiles, self._tiles | {tile.index: tile for tile in again}

        def same(key: tuple[int, int]) -> bool:
            return _task(*map(before.get, key)) == _task(*map(now.get, key))

        self._known = {key: edge for key, edge in self._known.items() if same(key)}
        self._edges = {key: edge for key, edge in self._edges.items() if same(key)}
        self._ratios = {key: ratios for key, ratios in self._ratios.items() if same(key)}
        self._tiles, self._neighbourhood = {}, Neighbourhood(self._source.tile_shape)
        return list(now.values())

    def _pairs_with(self, tile: Tile) -> list[tuple[Tile, Tile]]:
        """Take in a tile; the pairs that it makes with those before it, each by ascending index."""
        self._tiles[tile.index] = tile
        others = self._neighbourhood.add(tile)
        return [(tile, other) if tile.index < other.index else (other, tile) for other in others]

    def _measure(self, pairs: Sequence[tuple[Tile, Tile]]) -> None:
        """Compare pairs of tiles, several at a time."""
        for edge, ratios in self._pool.map(self._measured, pairs):
            key = edge.a, edge.b
            if key not in self._known:
                self._source.report_edge(edge)
            self._edges[key], self._ratios[key] = (
                replace(edge, local=edge.local.on(self._shelf)),
                ratios.on(self._shelf),
            )
            self._still_at_it()

    def _measured(self, pair: tuple[Tile, Tile]) -> tuple[Edge, Ratios]:
        """Compare two tiles; in any thread."""
        first, second = pair
        frames = self._raw.get(first), self._raw.get(second)
        nominal_px = (second.x_px - first.x_px, second.y_px - first.y_px)
        known = self._known.get((first.index, second.index))
        edge = known or register(first.index, second.index, *frames, nominal_px, self._detector.pattern)
        return edge, measure_ratios(edge, *frames)

    def _settle_pattern(self) -> None:
        """Settle what the detector adds to every frame, and measure again what was measured without knowing it."""
        if self._detector.settle():
            self._known = {key: edge for key, edge in self._known.items() if key not in self._edges}
            self._measure([(self._tiles[a], self._tiles[b]) for a, b in self._edges])

    def _place(self, how: Callable[[Sequence[Tile], Sequence[Edge]], Placement]) -> Placement:
        started = time.perf_counter()
        placement = how(list(self._tiles.values()), list(self._edges.values()))
        self._seconds["place"] += time.perf_counter() - started
        return placement

    def _match(self, placement: Placement) -> None:
        """Find the brightness of the tiles from the overlaps whose edges had a say in their places."""
        self._matched_s = time.perf_counter()
        ratios = [self._ratios[key] for key in sorted(placement.kept)]
        self._brightness = match(self._tiles, ratios, self._fusion.exposure, self._fusion.flat_field)
        self._matching_s = time.perf_counter() - self._matched_s
        self._seconds["place"] += self._matching_s

    def _draw(self, drawing: Drawing, placement: Placement, tolerance: Tolerance, wait: bool = True) -> None:
        started = time.perf_counter()
        self._blocks_drawn += drawing.update(placement, self._brightness, tolerance, wait)
        self._seconds["draw"] += time.perf_counter() - started

    def _finish(self, drawing: Drawing, placement: Placement) -> Mosaic:
        """Draw the final places; on a larger canvas, in a new folder, if a tile lies outside of the first one."""
        canvas = first_canvas(self._source)
        if placement.tiles:
            canvas = canvas.union(around(placement.tiles.values(), self._source.tile_shape))
        if canvas == drawing.mosaic.canvas:
            self._draw(drawing, placement, EXACT)
            return drawing.mosaic
        larger = self._larger(canvas)
        self._draw(larger, placement, EXACT)
        larger.move_to(self._path)
        return larger.mosaic

    def _larger(self, canvas: Canvas) -> Drawing:
        """Begin a mosaic that is to come in the place of the one there."""
        return self._drawing(self._path.with_name(self._path.name + ".larger"), canvas)

    def _restored_one(self, tile: Tile, frame: NDArray[Any], restored: NDArray[Any]) -> None:
        """Hear of a frame that was restored, from any thread; note how far it agrees with what came."""
        found = self._consistencies[tile.index] = consistency(frame, restored, self._restorer.scale)
        self._agreed(tile, found)
        self._newly_restored = True
        self._still_at_it()

    def _still_at_it(self) -> None:
        """Tell now and then; whoever hears nothing for long takes a worker for stuck."""
        if time.perf_counter() - self._told_s >= TELL_S:
            self._tell(finished=False)

    def _tell(self, finished: bool) -> None:
        self._told_s = time.perf_counter()
        accepted = sum(edge.accepted for edge in list(self._edges.values()))  # which may grow meanwhile
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
            fusion=self._fusion,
            brightness=self._brightness,
            consistencies=dict(sorted(self._consistencies.items())),
            seconds=dict(self._seconds),
        )
