"""Overlap control: after each row the overlaps that were measured say how the rows to come must be laid out.

The worker registers neighbours while the scan goes on and puts what it measured into the run's journal. What is
corrected goes there, too, as an event; the layout of a run follows from its plan, its field and these events.
"""

import itertools
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from acquisition.calibration import contradiction
from acquisition.field import Field, as_matrix
from acquisition.instructions import Cut, Instructions
from acquisition.layout import Correction, beyond_limits, layout, runs
from acquisition.measured_matrix import Measured, measured_matrix
from acquisition.overlap import PlannedTile
from acquisition.places import Place, Places
from acquisition.run_store import RunStore
from devices.rig_file import Calibration, Uncertainty
from reconstruction.registration import Edge

EDGES_WITHIN_S = 10.0
"""A worker that is there registers a row while it is taken; one that has just been started needs seconds to load."""
LOOK_S = 0.1
TOLERATED = 0.005
"""Of a field, by which the overlap may be off: half of what a user would see as one percent."""
SIGNIFICANT = 3.0
"""Standard deviations, against a calibration; what came from fewer rows of the same scan yields to one."""
REMEMBERED_TILES, LEAST_ROWS = 80, 3
"""Enough for any precision that is of use here, and placed in some 30 ms, with nothing moving; what is warming up is
not what it was a hundred rows ago. Where nothing is to be corrected, the first rows and the last ones are looked at."""


class OverlapControl:
    """Lays out the rows to come anew when the overlap is not what was planned; called between two rows."""

    def __init__(
        self,
        store: RunStore,
        limits_um: Mapping[str, tuple[float, float]],
        note: Callable[..., None],
        told: Instructions,
        wait_s: float = EDGES_WITHIN_S,
    ) -> None:
        self._store = store
        self._limits_um = limits_um
        self._note = note
        self._told = told
        self._wait_s = wait_s
        self._controlled = store.plan.tiles.overlap_band is not None
        self._calibration = Calibration.model_validate(store.rig["calibration"])
        self._doubted = bool(store.journal.events(kind="calibration_doubtful"))
        self._lagging = False
        self._where = Places.of_run(store.plan, store.rig)
        self._places: dict[int, Place] = {}
        self._read = 0  # attempts of the journal
        self._last_begun = -1  # row

    def after_row(self, row: int) -> bool:
        """Judge the overlaps up to a row that is taken and stored; whether the tiles of the rows after it have changed.

        Waits a few seconds at most for the worker, and not at all while it lags behind; being told something ends it.
        Without a band in the plan nothing is changed and nothing waited for, but a wrong calibration is told.
        """
        if not self._controlled and row >= LEAST_ROWS:
            return False
        tiles = self._store.tiles()
        self._read_attempts()
        if tiles[-1].row <= row or self._last_begun > row:  # a tile that was come back to
            return False
        field = self._store.field_as_measured()
        found = self._measure(row, tiles, field)
        if found is None or not self._controlled:
            return False
        seen = mean_overlap(tiles, row, field.seen_as(found.matrix_um))
        self._note("overlap_measured", row=row, overlap=seen, band=self._store.plan.tiles.overlap_band)
        if not self._is_off(field, found):
            return False
        return self._correct(row, tiles, field, found)

    def after_all(self) -> None:
        """Compare the calibration with the last rows of a scan that was not corrected, when all are registered."""
        if not self._controlled and not self._doubted:
            self._read_attempts()
            tiles = self._store.tiles()
            self._measure(tiles[-1].row, tiles, self._store.field)

    def _measure(self, row: int, tiles: Sequence[PlannedTile], field: Field) -> Measured | None:
        """The matrix that the rows up to this one show, if they do; tells if it is not that of the calibration."""
        remembered = _last_rows(tiles, row)
        edges = self._await_edges(row, remembered)
        recent = {tile.index: self._places[tile.index] for tile in remembered if tile.index in self._places}
        found = measured_matrix(field, recent, edges, self._sweeps(remembered))
        if found is not None:
            self._doubt_calibration(row, found)
        return found

    def _sweeps(self, tiles: Sequence[PlannedTile]) -> dict[int, int]:
        """The tiles that were swept over, by index, each with the number of its sweep."""
        if self._store.plan.tiles.mode != "line":
            return {}
        rows = itertools.groupby(tiles, key=lambda tile: tile.row)
        swept = (run for _, row in rows for run in runs(list(row)))
        return {tile.index: number for number, run in enumerate(swept) for tile in run}

    def _read_attempts(self) -> None:
        for number, attempt in self._store.journal.attempts(after=self._read):
            self._read = number
            self._last_begun = max(self._last_begun, attempt.row)
            place = self._where.of(attempt)
            if attempt.verdict == "ok" and place is not None:
                self._places[attempt.tile] = place

    def _await_edges(self, row: int, remembered: Sequence[PlannedTile]) -> list[Edge]:
        """The edges of the last rows, once each tile of `row` is joined to the one beside it, or time is up."""
        wanted = _pairs([tile for tile in remembered if tile.row == row and tile.index in self._places])
        deadline = time.monotonic() + (self._wait_s if self._controlled and not self._lagging else 0.0)
        while True:
            edges = self._store.journal.edges(since=remembered[0].index)
            missing = wanted.difference((edge.a, edge.b) for edge in edges)
            if not missing or time.monotonic() >= deadline:
                break
            try:
                self._told.wait(LOOK_S)
            except Cut:
                return edges
        if missing and self._controlled and not self._lagging:
            self._note("overlap_unknown", row=row, missing=len(missing), waited_s=self._wait_s)
        self._lagging = bool(missing)
        return edges

    def _doubt_calibration(self, row: int, found: Measured) -> None:
        """Tell once in a run that its calibration contradicts what was measured."""
        if self._doubted:
            return
        uncertainty = Uncertainty(
            pixel_size_um=found.relative_sd * self._calibration.pixel_size_um,
            rotation_deg=math.degrees(found.relative_sd),
        )
        if reason := contradiction(self._calibration, as_matrix(found.matrix_um), uncertainty):
            self._note("calibration_doubtful", row=row, reason=reason)
            self._doubted = True

    def _is_off(self, field: Field, found: Measured) -> bool:
        """Tell whether steps by the matrix in use miss the plan by more than is tolerated, and by no accident."""
        rows, columns = field.shape_px
        side_px = np.array([columns, rows])
        planned_px = (1 - self._store.plan.tiles.overlap) * np.diag(side_px)
        seen_px = field.seen_as(found.matrix_um).to_px(planned_px @ field.matrix_um.T)
        off = float((np.abs(seen_px - planned_px) / side_px).max())
        deviations = 1.0 if self._store.corrections() else SIGNIFICANT
        return off > max(TOLERATED, deviations * found.relative_sd)

    def _correct(self, row: int, tiles: Sequence[PlannedTile], field: Field, found: Measured) -> bool:
        correction = Correction(row, as_matrix(found.matrix_um))
        earlier = self._store.corrections()
        anew = layout(self._store.plan, self._store.field, [*earlier, correction])
        if outside := beyond_limits(anew, self._limits_um):
            place = f"({outside.x_um:g}, {outside.y_um:g}) um"
            self._note("overlap_kept", row=row, reason=f"tile {outside.index} would lie at {place}, beyond the limits")
            return False
        truer = field.seen_as(found.matrix_um)
        self._note(
            "overlap_corrected",
            row=row,
            matrix_um=correction.matrix_um,
            relative_sd=found.relative_sd,
            measured_on=found.tiles,
            overlap_planned=mean_overlap(tiles, row, field),
            overlap_before=mean_overlap(tiles, row, truer),
            overlap_after=mean_overlap(anew, row, truer),
            tiles_before=len(tiles),
            tiles=len(anew),
        )
        return True


def mean_overlap(tiles: Collection[PlannedTile], row: int, field: Field) -> tuple[float | None, float | None]:
    """Mean overlap of the neighbours below a row, along the camera's rows and columns; None where there are none."""
    at = {(tile.row, tile.col): (tile.x_um, tile.y_um) for tile in tiles if tile.row > row}

    def along(axis: int, down: int, right: int) -> float | None:
        steps = [np.subtract(at[r + down, c + right], at[r, c]) for r, c in at if (r + down, c + right) in at]
        side_px = field.shape_px[1 - axis]
        return float(np.mean(1 - np.abs(field.to_px(steps)[:, axis]) / side_px)) if steps else None

    return along(0, 0, 1), along(1, 1, 0)


def _last_rows(tiles: Sequence[PlannedTile], row: int) -> list[PlannedTile]:
    """The tiles of the last rows up to `row`, in their order."""
    done = [tile for tile in tiles if tile.row <= row]
    first_row = min(done[-REMEMBERED_TILES:][0].row, row - LEAST_ROWS + 1)
    return [tile for tile in done if tile.row >= first_row]


def _pairs(row: Sequence[PlannedTile]) -> set[tuple[int, int]]:
    """Neighbours within a row, by index."""
    found = set()
    for run in runs(row):
        for tile, after in itertools.pairwise(run):
            found.add((min(tile.index, after.index), max(tile.index, after.index)))
    return found
