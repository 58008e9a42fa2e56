"""A run as a source of frames: what the worker follows while the scan goes on, and reads again a month later."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from reconstruction.registration import Edge

from acquisition.journal import Attempt
from acquisition.run_store import RunStore
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
        self.dtype: np.dtype[np.uint16] = np.dtype(np.uint16)
        self.pixel_size_um = self.store.field.pixel_size_um
        self._remember_edges = remember_edges
        self._frames: dict[int, int] = {}
        self._raw = zarr.open_array(path / "raw.zarr", mode="r")

    def planned(self) -> list[Tile]:
        """Every tile of the plan, where it is meant to be."""
        return [
            self._tile(tile.index, tile.row, tile.col, tile.x_um, tile.y_um, anchor=True) for tile in self.store.tiles()
        ]

    def follow(self) -> Iterator[list[Tile]]:
        """Batches of tiles as they become durable, where the scanner says that it was; ends with the acquisition."""
        approach = _Approach()
        last_row = 0
        while True:
            live = self.store.is_being_acquired()  # asked before reading: then nothing can come after the last batch
            batch = []
            for row, attempt in self.store.journal.attempts(after=last_row):
                last_row = row
                anchor = approach.positive(attempt)
                if attempt.frame is not None and attempt.actual_x_um is not None and attempt.actual_y_um is not None:
                    self._frames[attempt.tile] = attempt.frame
                    place_um = attempt.actual_x_um, attempt.actual_y_um
                    batch.append(self._tile(attempt.tile, attempt.row, attempt.col, *place_um, anchor=anchor))
            yield batch
            if not live:
                return
            if not batch:
                time.sleep(POLL_S)

    def pixels(self, tile: Tile) -> NDArray[np.uint16]:
        """The raw frame (y, x) of a tile that has arrived."""
        frame = self._frames[tile.index]
        if frame >= self._raw.shape[0]:  # tiles taken again have made the array longer
            self._raw = zarr.open_array(self.store.path / "raw.zarr", mode="r")
        return np.asarray(self._raw[frame])

    def known_edges(self) -> list[Edge]:
        """What an earlier worker measured on this run."""
        return self.store.journal.edges() if self._remember_edges else []

    def report_edge(self, edge: Edge) -> None:
        """Put a measured edge into the journal."""
        if self._remember_edges:
            self.store.journal.add_edge(edge)

    def _tile(self, index: int, row: int, col: int, x_um: float, y_um: float, anchor: bool) -> Tile:
        rows, columns = self.tile_shape
        return Tile(
            index=index,
            name=f"r{row:03d}_c{col:03d}",
            x_px=x_um / self.pixel_size_um - (columns - 1) / 2,
            y_px=y_um / self.pixel_size_um - (rows - 1) / 2,
            anchor=anchor,
        )


class _Approach:
    """From which side each axis came to its last target: where a stage has play, only one side can be trusted."""

    def __init__(self) -> None:
        self._last_um: tuple[float, float] | None = None
        self._positive = [True, True]  # the engine takes up the backlash before the first tile

    def positive(self, attempt: Attempt) -> bool:
        """Note the attempt's target; whether both axes came to it in their positive direction."""
        target_um = attempt.target_x_um, attempt.target_y_um
        for axis, (now, before) in enumerate(zip(target_um, self._last_um or target_um, strict=True)):
            if now != before:
                self._positive[axis] = now > before
        self._last_um = target_um
        return all(self._positive)
