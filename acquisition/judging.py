"""What is said about tiles that were taken: whether each is good enough, and whether a row lies as it should."""

from acquisition.doubts import Doubts
from acquisition.frame_flaws import Pixels
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.neighbour_check import NeighbourCheck
from acquisition.overlap import PlannedTile
from acquisition.overlap_control import OverlapControl
from acquisition.quality import Judged, QualityControl
from acquisition.retakes import asked_of
from acquisition.run_store import RunStore
from devices.rig import Rig

WORKER_S, LOOK_S = 5.0, 0.1
"""How long the last tiles may take to be registered, where tiles are to be taken again; and how often to look."""
LAST_ROW = 2**31
LAST_DOUBT = 10
"""Row after which nobody asks any more whether anything matches: the specimen is blank, or something has."""


class Judging:
    """The judgements of one run, as its plan wants them; what is suspicious goes into the journal."""

    def __init__(self, store: RunStore, rig: Rig, told: Instructions) -> None:
        self._store = store
        self._told = told
        self._plan = store.plan
        history = [attempt for _, attempt in store.journal.attempts()]
        self._quality = QualityControl(store.plan.quality, store.field, len(store.tiles()), history)
        self._neighbours = NeighbourCheck(store)
        self._doubts = Doubts(store)
        self._doubted = {retake.tile for retake in asked_of(store) if retake.cause == "doubtful"}
        """Tiles that were taken again for that, or will be: a second doubt would tell nothing new."""
        for tile in self._doubted:
            self._quality.may_retake(tile)  # of a run that goes on: they are part of its budget
        self._overlap = OverlapControl(store, rig.scanner.limits_um, store.journal.note, told)
        self._looked_last = self._looked_for_doubts = False
        self._may_doubt = not store.journal.events(kind="calibration_doubtful")

    @property
    def needs_rows_stored(self) -> bool:
        """Whether a row has to be stored before it is judged."""
        return self._plan.tiles.overlap_band is not None

    def frame(self, attempt: Attempt, pixels: Pixels) -> Judged:
        """Judge a frame (y, x) by itself and by the one before."""
        judged = self._quality.judge(attempt, pixels)
        if judged.pixels is None:
            self._store.journal.note("quality_refused", tile=attempt.tile, reason=judged.attempt.reason)
        return judged

    def row(self, row: int) -> tuple[bool, list[PlannedTile]]:
        """Judge a row that is taken as a whole: whether the rows after it lie elsewhere now, and what to take again."""
        if self._plan.tiles.order == "spiral":
            return False, []
        laid_out_anew = self._overlap.after_row(row)
        self._doubt_camera(row)
        return laid_out_anew, self._suspects(row - 1) if self._plan.quality.policy == "retake" else []

    def _doubt_camera(self, row: int) -> None:
        """Tell, once and while there is time to mend it, that no overlap of the first rows matches."""
        if self._may_doubt and 0 < row <= LAST_DOUBT and (reason := self._neighbours.nothing_matches()):
            self._store.journal.note("calibration_doubtful", row=row, reason=reason)
            self._may_doubt = False

    def all(self) -> list[PlannedTile]:
        """Judge all tiles by their neighbours, once, when none is left to take; those to be taken again.

        Raises:
            Cut: the run was told something else.
        """
        if self._looked_last:
            return []
        if self._plan.quality.policy == "retake":
            self._await_worker()
        self._looked_last = True
        return self._suspects(LAST_ROW) if self._plan.quality.policy != "none" else []

    @property
    def awaits_restoration(self) -> bool:
        """Whether `doubtful` waits for the worker, perhaps for long."""
        return self._plan.quality.doubtful_exposure is not None and not self._looked_for_doubts

    def doubtful(self) -> dict[int, str]:
        """Tiles to be taken again with a longer exposure, and why: of those that the budget allows, once.

        Raises:
            Cut: the run was told something else.
        """
        if not self.awaits_restoration:
            return {}
        self._doubts.await_worker(self._told)
        self._looked_for_doubts = True
        found = self._doubts.found()
        return {
            tile: why for tile, why in found.items() if tile not in self._doubted and self._quality.may_retake(tile)
        }

    def _await_worker(self) -> None:
        """Give the worker a moment to join the last tile to another."""
        last = max((tile.index for tile in self._store.tiles()), default=0)
        for _ in range(round(WORKER_S / LOOK_S)):
            if self._store.journal.edges(since=last):
                return
            self._told.wait(LOOK_S)

    def _suspects(self, up_to_row: int) -> list[PlannedTile]:
        """Note the tiles that show something else than their neighbours; those that the budget allows to take again."""
        tiles = {tile.index: tile for tile in self._store.tiles()}
        again = []
        for index, reason in self._neighbours.suspects(up_to_row):
            self._store.journal.note("quality_refused", tile=index, reason=reason)
            if self._quality.may_retake(index):
                again.append(tiles[index])
        return again


def doubt_calibration(store: RunStore) -> None:
    """Note what all overlaps together say against the calibration, when they are known: a scan may end before that."""
    if store.plan.follows_video:
        return
    if store.plan.tiles.order != "spiral":
        OverlapControl(store, {}, store.journal.note, Instructions()).after_all()
    if not store.journal.events(kind="calibration_doubtful") and (reason := NeighbourCheck(store).nothing_matches()):
        store.journal.note("calibration_doubtful", reason=reason)
