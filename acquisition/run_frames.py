"""A run as a source of frames: what the worker follows while the scan goes on, and reads again a month later."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.layout import Correction
from acquisition.places import Place, Places
from acquisition.run_store import RunError, RunStore
from reconstruction.registration import Edge
from reconstruction.sources import Tile

POLL_S = 0.05  # how soon a frame is noticed; a query of an idle journal costs some 20 us


@dataclass(frozen=True, slots=True)
class _Taken:
    """Of an attempt, what is kept all night."""

    row: int
    col: int
    take: int
    exposure_s: float
    place: Place


class RunFrames:
    """The accepted frames of one run; fulfils `FrameSource`.

    Positions are in pixels of the scanner's coordinates: pixel (0, 0) lies at (0 um, 0 um).
    """

    def __init__(self, path: Path, remember_edges: bool) -> None:
        """Open the run at `path`; with `remember_edges` its journal keeps what is measured, for a worker's successor.

        Raises:
            RunError: not a run.
        """
        self.store = RunStore(path)
        self.tile_shape = self.store.field.shape_px
        self.dtype: np.dtype[Any] = np.dtype(np.uint16)
        self._remember_edges = remember_edges
        self._frames: dict[int, int] = {}
        self._taken: dict[int, _Taken] = {}
        self._planned: list[Tile] = []
        self._corrections: list[Correction] = []
        self._read_layout(arrived=True)
        self._raw = _opened(path)

    @property
    def pixel_size_um(self) -> float:
        """Of the frames, as their overlaps have shown it by now."""
        return self._field.pixel_size_um

    def planned(self) -> list[Tile]:
        """Every tile of the plan, where it is meant to be."""
        return self._planned

    def follow(self) -> Iterator[list[Tile]]:
        """Batches of tiles as they become durable, where the scanner says that it was; ends with the acquisition.

        The scanner's word is corrected by its backlash, as far as that was calibrated. All tiles come again when the
        camera's matrix has been corrected, and a single one when it has been taken again.
        """
        places = Places.of_run(self.store.plan, self.store.rig)
        last_row = 0
        while True:
            live = self.store.is_being_acquired()  # asked before reading: then nothing can come after the last batch
            arrived = set()
            for row, attempt in self.store.journal.attempts(after=last_row):
                last_row = row
                place = places.of(attempt)
                if attempt.frame is not None and place is not None:
                    self._frames[attempt.tile] = attempt.frame
                    self._taken[attempt.tile] = _Taken(
                        attempt.row, attempt.col, attempt.attempt, attempt.exposure_s, place
                    )
                    arrived.add(attempt.tile)
            if self._read_layout(bool(arrived)):
                arrived = set(self._taken)
            yield [self._arrived(index, self._taken[index]) for index in sorted(arrived)]
            if not live:
                return
            if not arrived:
                time.sleep(POLL_S)

    def pixels(self, tile: Tile) -> NDArray[np.uint16]:
        """The raw frame (y, x) of a tile that has arrived; one that was exposed longer, as bright as planned.

        A mosaic has one scale of grey values; `raw.zarr` holds what came.

        Raises:
            RunError: the array is damaged.
        """
        frame = self._frames[tile.index]
        try:
            if frame >= self._raw.shape[0]:  # it has grown since it was opened
                self._raw = _opened(self.store.path)
            return self._as_planned(np.asarray(self._raw[frame]), tile)
        except Exception as error:  # whatever the codecs stumbled over
            raise RunError(f"{self.store.path / 'raw.zarr'}: frame {frame} cannot be read: {error}") from error

    def _as_planned(self, pixels: NDArray[np.uint16], tile: Tile) -> NDArray[np.uint16]:
        planned_s, exposure_s = self.store.plan.camera.exposure_s, self._taken[tile.index].exposure_s
        if exposure_s <= planned_s or self.store.plan.follows_video:
            return pixels
        return np.asarray(np.rint(pixels * np.float32(planned_s / exposure_s)), np.uint16)

    def known_edges(self) -> list[Edge]:
        """What an earlier worker measured on this run."""
        return self.store.journal.edges(local=True) if self._remember_edges else []

    def report_edge(self, edge: Edge) -> None:
        """Put a measured edge into the journal."""
        if self._remember_edges:
            self.store.journal.add_edge(edge)

    def report_restored(
        self, tile: Tile, agreement: float | None, least: float, misfit: Mapping[str, object] | None = None
    ) -> None:
        """Tell the engine how far a restored tile explains its frame (None: all is noise), if the plan wants to know.

        Args:
            least: agreement of a tile that is not doubtful.
            misfit: where it explains it least, with the `strength` of that, and the `limit` of what is not doubtful.
        """
        if not self._remember_edges or self.store.plan.quality.doubtful_exposure is None:
            return
        known = None if agreement is None else round(agreement, 4)
        said = {"tile": tile.index, "attempt": tile.take, "agreement": known, "least": least}
        self.store.journal.note("tile_restored", **said, **({} if misfit is None else {"misfit": dict(misfit)}))

    def _read_layout(self, arrived: bool) -> bool:
        """Look up how the tiles are laid out by now; whether tiles known before have come to lie elsewhere."""
        corrections = self.store.corrections()
        if self._planned and corrections == self._corrections and not (arrived and self.store.plan.follows_video):
            return False
        moved = corrections != self._corrections
        self._corrections = corrections
        self._field = self.store.field_as_measured()
        self._planned = [
            self._tile(tile.index, tile.row, tile.col, tile.x_um, tile.y_um, 1, anchor=True)
            for tile in self.store.tiles()
        ]
        return moved

    def _arrived(self, index: int, taken: _Taken) -> Tile:
        place = taken.place
        return self._tile(index, taken.row, taken.col, place.x_um, place.y_um, taken.take, anchor=all(place.sure))

    def _tile(self, index: int, row: int, col: int, x_um: float, y_um: float, take: int, anchor: bool) -> Tile:
        rows, columns = self.tile_shape
        x_px, y_px = self._field.to_px((x_um, y_um))
        return Tile(
            index=index,
            name=f"r{row:03d}_c{col:03d}",
            x_px=float(x_px) - (columns - 1) / 2,
            y_px=float(y_px) - (rows - 1) / 2,
            anchor=anchor,
            take=take,
        )


def _opened(run: Path) -> zarr.Array[Any]:
    return zarr.open_array(run / "raw.zarr", mode="r")
