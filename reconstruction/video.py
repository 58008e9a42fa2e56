"""A moving-stage video as a source of tiles: pictures chosen by measured overlap, rows found by what they show."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.read_ahead import read_ahead
from reconstruction.registration import Edge
from reconstruction.sources import BATCH, Tile
from reconstruction.video_choice import Band, Chooser, Chosen, Gap
from reconstruction.video_flaws import Flaw
from reconstruction.video_overlay import marks, still, without_bars
from reconstruction.video_pictures import Crop, Film, films_of, refuse_crop
from reconstruction.video_refresh import WholeScans
from reconstruction.video_rows import Laid, Layout, Stretch, laid_out
from reconstruction.video_store import PictureStore
from reconstruction.video_view import Viewer

SAMPLES = 12  # of all files together, to find what stands on the screen
TELL_EVERY = 25  # pictures
STORE_NAME = "chosen-frames.raw"


@dataclass(frozen=True)
class Options:
    """How tiles are taken out of videos.

    `crop`: x, y, width, height in px; None: bars at the rims are found. `stage_um_s`: how fast the stage goes along its
    rows; from this the size of a pixel is estimated where it is not given.
    """

    band: Band = field(default_factory=Band)
    crop: Crop | None = None
    layout: Layout = field(default_factory=Layout)
    pixel_size_um: float | None = None
    stage_um_s: float | None = None


@dataclass(frozen=True)
class Selected:
    """What was taken out of one file, and why the rest was not."""

    film: Film
    seen: int  # pictures
    seconds: float
    chosen: Sequence[Chosen]
    rejected: Counter[Flaw]
    listed: Sequence[tuple[int, Flaw]]
    gaps: Sequence[Gap]
    slow_scan: bool


@dataclass(frozen=True)
class Seen:
    """How far the selection is."""

    file: str
    pictures: int
    of: int  # 0: the file does not say
    chosen: int


class Video:
    """Tiles out of video files, each of which is a row or more; fulfils `FrameSource`.

    A tile is named FILE#NUMBER, after its file and its frame there, from 0.
    """

    def __init__(self, files: Sequence[Path], scratch: Path, options: Options, heard: Callable[[Seen], None]) -> None:
        """Go through all files and choose.

        Args:
            scratch: a folder for the chosen pictures, which may take gigabytes until `close`.

        Raises:
            InputError: a file cannot be read, they are unlike each other, or the crop lies outside of them.
        """
        films = films_of(list(files))
        self.pixel_size_um = options.pixel_size_um
        self.crop, overlay = _visible(films, options.crop)
        self.marked_px = int(overlay.sum())
        self.tile_shape = self.crop[3], self.crop[2]
        self.dtype: np.dtype[Any] = films[0].dtype
        self._store = PictureStore(scratch / STORE_NAME, self.tile_shape, self.dtype)
        try:
            self.selected = [self._select(film, options.band, overlay, heard) for film in films]
            self.rows = laid_out(_stretches(self.selected), self.tile_shape, options.layout, self._store.get)
        except BaseException:
            self.close()
            raise
        self._tiles = _tiles(self.rows, films)
        if options.stage_um_s is not None and self.pixel_size_um is None:
            self.pixel_size_um = self._estimated_um(options.stage_um_s)

    def planned(self) -> list[Tile]:
        return list(self._tiles)

    def follow(self) -> Iterator[list[Tile]]:
        for start in range(0, len(self._tiles), BATCH):
            yield self._tiles[start : start + BATCH]

    def pixels(self, tile: Tile) -> NDArray[Any]:
        return self._store.get(tile.index)

    def known_edges(self) -> list[Edge]:
        return []

    def report_edge(self, edge: Edge) -> None:
        """Keep nothing: a video belongs to its user."""

    def close(self) -> None:
        """Delete the chosen pictures; may be called twice."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _estimated_um(self, stage_um_s: float) -> float | None:
        """Size of a pixel, by a stage of known speed; the median over all tiles, which turns and pauses do not move."""
        speeds = [np.hypot(*each.speed_px_s) for part in self.selected for each in part.chosen[1:]]
        typical_px_s = float(np.median(speeds)) if speeds else 0.0
        return stage_um_s / typical_px_s if typical_px_s > 0 else None

    def _select(self, film: Film, band: Band, overlay: NDArray[np.bool_], heard: Callable[[Seen], None]) -> Selected:
        scans, chooser = WholeScans(), Chooser(band, Viewer(self.tile_shape, overlay))
        chosen: list[Chosen] = []

        def take(found: Iterator[Chosen]) -> None:
            for each in found:
                self._store.add(each.picture.pixels)
                chosen.append(each.without_pixels())

        seen, time_s = 0, 0.0
        for picture in read_ahead(film.pictures(self.crop)):
            seen, time_s = seen + 1, picture.time_s
            for whole in scans.add(picture):
                take(chooser.add(whole))
            if seen % TELL_EVERY == 0:
                heard(Seen(film.name, seen, film.frames, len(chosen)))
        for whole in scans.end():
            take(chooser.add(whole))
        take(chooser.end())
        if not chosen:
            raise InputError(f"{film.path}: none of its {seen} frames can be used")
        heard(Seen(film.name, seen, film.frames, len(chosen)))
        rejected = chooser.rejected
        rejected["refresh line"] += scans.mixed
        rejected["repeated"] += scans.repeated
        return Selected(film, seen, time_s, chosen, +rejected, chooser.listed, chooser.gaps, scans.mixed > 0)


def _visible(films: Sequence[Film], crop: Crop | None) -> tuple[Crop, NDArray[np.bool_]]:
    """The part of the pictures that shows the specimen, and what in it does not."""
    shape = films[0].shape
    if crop is not None:
        refuse_crop(crop, shape)
    each = max(2, -(-SAMPLES // len(films)))
    marked = still(sample for film in films[:SAMPLES] for sample in film.samples(each))
    if marked is None:
        marked = np.zeros(shape, np.bool_)
    if crop is None:
        crop = without_bars(marked)
        refuse_crop(crop, shape)
    x, y, width, height = crop
    return crop, marks(marked[y : y + height, x : x + width])


def _stretches(selected: Sequence[Selected]) -> list[Stretch]:
    found: list[Stretch] = []
    number = 0
    for file, part in enumerate(selected):
        for _, group in groupby(part.chosen, key=lambda each: each.segment):
            chosen = list(group)
            found.append(Stretch(file, chosen, range(number, number + len(chosen))))
            number += len(chosen)
    return found


def _tiles(rows: Sequence[Laid], films: Sequence[Film]) -> list[Tile]:
    tiles: list[Tile] = []
    for row in rows:
        for chosen, (x, y) in zip(row.stretch.chosen, row.places_px.tolist(), strict=True):
            name = f"{films[row.stretch.file].name}#{chosen.picture.number}"
            tiles.append(Tile(len(tiles), name, x, y))
    return tiles
