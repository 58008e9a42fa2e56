"""A run as a source of frames: what the worker follows while the scan goes on, and reads again a month later."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.journal import Attempt
from acquisition.run_store import RunError, RunStore
from reconstruction.registration import Edge
from reconstruction.sources import Tile

POLL_S = 0.05  # how soon a frame is noticed; a query of an idle journal costs some 20 us


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
        self.pixel_size_um: float | None = self.store.field.pixel_size_um
        self._remember_edges = remember_edges
        known_um = self.store.rig.get("calibration", {}).get("backlash_um")
        self._backlash_um = (known_um["x"], known_um["y"]) if known_um else None
        self._frames: dict[int, int] = {}
        self._raw = zarr.open_array(path / "raw.zarr", mode="r")

    def planned(self) -> list[Tile]:
        """Every tile of the plan, where it is meant to be."""
        return [
            self._tile(tile.index, tile.row, tile.col, tile.x_um, tile.y_um, anchor=True) for tile in self.store.tiles()
        ]

    def follow(self) -> Iterator[list[Tile]]:
        """Batches of tiles as they become durable, where the scanner says that it was; ends with the acquisition.

        The scanner's word is corrected by its backlash, as far as that was calibrated.
        """
        approach = _Approach(sweeping=self.store.plan.tiles.mode == "line")
        last_row = 0
        while True:
            live = self.store.is_being_acquired()  # asked before reading: then nothing can come after the last batch
            batch = []
            for row, attempt in self.store.journal.attempts(after=last_row):
                last_row = row
                downwards = approach.downwards(attempt)
                if attempt.frame is not None and attempt.actual_x_um is not None and attempt.actual_y_um is not None:
                    self._frames[attempt.tile] = attempt.frame
                    lost_um = [lost * down for lost, down in zip(self._backlash_um or (0, 0), downwards, strict=True)]
                    place_um = attempt.actual_x_um + lost_um[0], attempt.actual_y_um + lost_um[1]
                    anchor = self._backlash_um is not None or not any(downwards)
                    batch.append(self._tile(attempt.tile, attempt.row, attempt.col, *place_um, anchor=anchor))
            yield batch
            if not live:
                return
            if not batch:
                time.sleep(POLL_S)

    def pixels(self, tile: Tile) -> NDArray[np.uint16]:
        """The raw frame (y, x) of a tile that has arrived.

        Raises:
            RunError: the array is damaged.
        """
        frame = self._frames[tile.index]
        try:
            return np.asarray(self._raw[frame])
        except Exception as error:  # whatever the codecs stumbled over
            raise RunError(f"{self.store.path / 'raw.zarr'}: frame {frame} cannot be read: {error}") from error

    def known_edges(self) -> list[Edge]:
        """What an earlier worker measured on this run."""
        return self.store.journal.edges() if self._remember_edges else []

    def report_edge(self, edge: Edge) -> None:
        """Put a measured edge into the journal."""
        if self._remember_edges:
            self.store.journal.add_edge(edge)

    def _tile(self, index: int, row: int, col: int, x_um: float, y_um: float, anchor: bool) -> Tile:
        rows, columns = self.tile_shape
        pixel_um = self.store.field.pixel_size_um
        return Tile(
            index=index,
            name=f"r{row:03d}_c{col:03d}",
            x_px=x_um / pixel_um - (columns - 1) / 2,
            y_px=y_um / pixel_um - (rows - 1) / 2,
            anchor=anchor,
        )


class _Approach:
    """From which side each axis came to its last target: where a stage has play, its sensors are right on one only."""

    def __init__(self, sweeping: bool) -> None:
        self._sweeping = sweeping  # every sweep goes upwards in x
        self._last_um: tuple[float, float] | None = None
        self._downwards = (False, False)  # the engine takes up the backlash before the first tile

    def downwards(self, attempt: Attempt) -> tuple[bool, bool]:
        """Note the attempt's target; whether x and y came to it from above."""
        target_um = attempt.target_x_um, attempt.target_y_um
        before_um = self._last_um or target_um
        x, y = (
            was if now == before else now < before
            for now, before, was in zip(target_um, before_um, self._downwards, strict=True)
        )
        x = x and not self._sweeping
        self._last_um, self._downwards = target_um, (x, y)
        return x, y
