"""Overlap control: a wrong calibration is noticed from the overlaps, and the rows to come are laid out anew."""

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.measured_matrix import measured_matrix
from acquisition.overlap import PlannedTile
from acquisition.overlap_control import OverlapControl, mean_overlap
from acquisition.places import Place
from acquisition.plan import Plan
from acquisition.run_frames import RunFrames
from acquisition.run_store import RunStore
from reconstruction.neighbours import are_neighbours
from reconstruction.registration import Edge

NewStore = Callable[..., RunStore]
Pair = tuple[float, float]
FIELD = Field((240, 320), 0.01)
REGION = {"x_um": (20.0, 40.0), "y_um": (30.0, 46.0)}
CONTROLLED = {"overlap": 0.3, "overlap_band": (0.1, 0.45)}
LIMITS_UM = {"x": (0.0, 100.0), "y": (0.0, 100.0)}


def truth(scale: float, degrees: float) -> NDArray[np.float64]:
    """The camera's true matrix on a rig that was calibrated to `FIELD`."""
    angle = math.radians(degrees)
    return (
        FIELD.pixel_size_um
        * scale
        * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    )


class Scan:
    """Takes the rows of a run with a camera of a known matrix, and plays the worker that registers them."""

    def __init__(self, store: RunStore, matrix_um: NDArray[np.float64], landing_px: float = 0.0, seed: int = 7) -> None:
        self.store = store
        self.field = store.field.seen_as(matrix_um)
        self._random = np.random.default_rng(seed)
        self._landing_um = landing_px * FIELD.pixel_size_um
        self._places: dict[int, tuple[float, float]] = {}

    def take(self, row: int, registered: bool = True) -> None:
        landed_um = self._random.normal(0, self._landing_um, 2)
        for tile in [tile for tile in self.store.missing() if tile.row == row]:
            self.store.record(self._attempt(tile), np.zeros(self.store.field.shape_px, np.uint16))
            if self.store.plan.tiles.mode == "step":
                landed_um = self._random.normal(0, self._landing_um, 2)
            x_um, y_um = np.add((tile.x_um, tile.y_um), landed_um)
            self._places[tile.index] = float(x_um), float(y_um)
        if registered:
            self.register()

    def register(self) -> None:
        """Report every overlap as it is, and nothing where there is none."""
        tiles = {tile.index: tile for tile in RunFrames(self.store.path, remember_edges=False).planned()}
        for (a, first), (b, second) in itertools.combinations(sorted(self._places.items()), 2):
            if are_neighbours(tiles[a], tiles[b], self.store.field.shape_px):
                x_px, y_px = self.field.to_px(np.subtract(second, first))
                self.store.journal.add_edge(Edge(a, b, float(x_px), float(y_px), 0.9, accepted=True))

    def _attempt(self, tile: PlannedTile) -> Attempt:
        return Attempt(
            tile=tile.index,
            attempt=1,
            row=tile.row,
            col=tile.col,
            started_at="",
            target_x_um=tile.x_um,
            target_y_um=tile.y_um,
            target_z_um=None,
            exposure_s=0.02,
            actual_x_um=tile.x_um,
            actual_y_um=tile.y_um,
            verdict="ok",
        )


def control(store: RunStore, told: Instructions | None = None, wait_s: float = 0.0) -> OverlapControl:
    return OverlapControl(store, LIMITS_UM, store.journal.add_event, told or Instructions(), wait_s)


def kinds(store: RunStore) -> list[str]:
    """What was told besides the overlap itself."""
    return [event.kind for event in store.journal.events() if event.kind != "overlap_measured"]


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[NewStore]:
    """Lay out a run of some 9 x 9 tiles on a stage without backlash."""
    with ExitStack() as opened:

        def create(**tiles: Any) -> RunStore:
            plan = Plan.model_validate({"region": REGION, "tiles": tiles or CONTROLLED})
            calibration = {
                "pixel_size_um": FIELD.pixel_size_um,
                "frame_shape_px": FIELD.shape_px,
                "backlash_um": {"x": 0.0, "y": 0.0},
            }
            store = RunStore.create(tmp_path / "run", plan, FIELD, {"calibration": calibration})
            opened.callback(store.close)
            return store

        yield create


@pytest.mark.parametrize("scale", [0.95, 1.05])
@pytest.mark.parametrize("degrees", [-1.0, 1.0])
def test_the_third_row_overlaps_as_planned(new_store: NewStore, scale: float, degrees: float) -> None:
    store = new_store()
    matrix = truth(scale, degrees)
    scan, judge = Scan(store, matrix, landing_px=1.0), control(store)
    for row in (0, 1):
        scan.take(row)
        judge.after_row(row)
    field = store.field.seen_as(matrix)
    planned = mean_overlap(store.tiles(), 1, store.field_as_measured())
    true = mean_overlap(store.tiles(), 1, field)
    assert kinds(store).count("calibration_doubtful") == 1
    assert true == pytest.approx(planned, abs=0.01)  # of a field: what the issue asks for
    assert min(overlap for overlap in true if overlap is not None) > 0.3 - 0.01


def test_the_overlap_is_told_as_it_is_measured_after_each_row(new_store: NewStore) -> None:
    store = new_store()
    matrix = truth(0.95, 1.0)
    scan, judge = Scan(store, matrix, landing_px=1.0), control(store)
    for row in (0, 1):
        scan.take(row)
        true = mean_overlap(store.tiles(), row, store.field.seen_as(matrix))
        judge.after_row(row)
        told = store.journal.events(kind="overlap_measured")[-1].data
        assert (told["row"], told["band"]) == (row, list(store.plan.tiles.overlap_band or ()))
        assert told["overlap"] == pytest.approx(true, abs=0.01)


def test_a_good_calibration_is_left_alone(new_store: NewStore) -> None:
    store = new_store()
    scan, judge = Scan(store, truth(1.0, 0.0), landing_px=1.0), control(store)
    for row in range(4):
        scan.take(row)
        assert not judge.after_row(row)
    assert kinds(store) == []


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_land_astray_as_a_whole_contradict_no_good_calibration(new_store: NewStore, seed: int) -> None:
    store = new_store(**CONTROLLED, mode="line")
    scan, judge = Scan(store, truth(1.0, 0.0), landing_px=2.0, seed=seed), control(store)
    for row in range(4):
        scan.take(row)
        assert not judge.after_row(row)
    assert kinds(store) == []


@pytest.mark.parametrize("scale", [0.95, 1.05])
def test_rows_that_are_swept_overlap_as_planned_too(new_store: NewStore, scale: float) -> None:
    store = new_store(**CONTROLLED, mode="line")
    matrix = truth(scale, 1.0)
    scan, judge = Scan(store, matrix, landing_px=0.5), control(store)
    for row in (0, 1):
        scan.take(row)
        judge.after_row(row)
    planned = mean_overlap(store.tiles(), 1, store.field_as_measured())
    assert mean_overlap(store.tiles(), 1, store.field.seen_as(matrix)) == pytest.approx(planned, abs=0.01)


def test_without_a_band_nothing_is_corrected_but_the_calibration_doubted(new_store: NewStore) -> None:
    store = new_store(overlap=0.3)
    Scan(store, truth(0.95, 1.0)).take(0)
    assert not control(store).after_row(0)
    assert kinds(store) == ["calibration_doubtful"]


def test_what_was_corrected_is_there_when_the_run_is_opened_again(new_store: NewStore) -> None:
    store = new_store()
    scan = Scan(store, truth(0.95, 1.0))
    scan.take(0)
    assert control(store).after_row(0)
    again = RunStore(store.path)
    assert again.tiles() == store.tiles()
    assert again.field_as_measured().pixel_size_um == pytest.approx(0.0095, rel=0.005)
    begun = [tile for tile in again.tiles() if tile.row == 0]
    assert [tile.index for tile in begun] == list(range(len(begun)))
    scan.take(1)
    again.close()


def test_rows_that_were_begun_stay_when_an_earlier_one_is_come_back_to(new_store: NewStore) -> None:
    store = new_store()
    scan, judge = Scan(store, truth(0.95, 1.0)), control(store)
    for row in (0, 1):
        scan.take(row, registered=False)
    scan.register()
    assert not judge.after_row(0)
    assert judge.after_row(1)


def test_without_a_band_what_a_slow_worker_measured_is_looked_at_in_the_end(new_store: NewStore) -> None:
    store = new_store(overlap=0.3)
    scan, judge = Scan(store, truth(0.95, 1.0)), control(store)
    for row in range(max(tile.row for tile in store.tiles()) + 1):
        scan.take(row, registered=row >= 3)
        assert not judge.after_row(row)
    assert kinds(store) == []
    judge.after_all()
    judge.after_all()
    assert kinds(store) == ["calibration_doubtful"]


def test_goes_on_without_a_worker_and_says_so_once(new_store: NewStore) -> None:
    store = new_store()
    scan, judge = Scan(store, truth(0.95, 1.0)), control(store)
    for row in (0, 1):
        scan.take(row, registered=False)
        assert not judge.after_row(row)
    assert kinds(store) == ["overlap_unknown"]
    scan.take(2)
    assert judge.after_row(2), "a worker that has caught up is listened to"


def test_a_stop_ends_the_waiting_for_the_worker(new_store: NewStore) -> None:
    store = new_store()
    Scan(store, truth(0.95, 1.0)).take(0, registered=False)
    told = Instructions()
    threading.Timer(0.2, told.stop).start()
    assert not control(store, told, wait_s=60.0).after_row(0)  # the suite's time-out is shorter
    assert kinds(store) == []


def test_waits_for_a_worker_that_is_on_its_way(new_store: NewStore) -> None:
    store = new_store()
    scan = Scan(store, truth(0.95, 1.0))
    scan.take(0, registered=False)
    late = threading.Timer(0.3, scan.register)
    late.start()
    assert control(store, wait_s=30.0).after_row(0)
    late.join()


def test_keeps_the_old_tiles_when_the_new_ones_are_out_of_reach(new_store: NewStore) -> None:
    store = new_store()
    Scan(store, truth(0.95, 1.0)).take(0)
    before = store.tiles()
    narrow = {"x": (min(tile.x_um for tile in before), max(tile.x_um for tile in before)), "y": LIMITS_UM["y"]}
    judge = OverlapControl(store, narrow, store.journal.add_event, Instructions(), 0.0)
    assert not judge.after_row(0)
    assert kinds(store) == ["calibration_doubtful", "overlap_kept"]
    assert store.tiles() == before


def test_frames_of_more_tiles_than_planned_find_room(new_store: NewStore) -> None:
    store = new_store()
    planned = len(store.tiles())
    scan, judge = Scan(store, truth(0.9, 0.0)), control(store)
    for row in itertools.count():
        scan.take(row)
        judge.after_row(row)
        if not store.missing():
            break
    taken = [attempt for _, attempt in store.journal.attempts()]
    assert len(taken) > planned
    frames = RunFrames(store.path, remember_edges=False)
    store.release()
    tiles = [tile for batch in frames.follow() for tile in batch]
    assert all(frames.pixels(tile).shape == store.field.shape_px for tile in tiles)
    assert frames.pixel_size_um == pytest.approx(0.009, rel=0.002)


def grid(
    matrix_um: NDArray[np.float64], rows: int, wrong: set[int] = frozenset(), landed_px: Sequence[Pair] = ()
) -> tuple[dict[int, Place], list[Edge]]:
    """Places of rows of five tiles, (2.4, 1.8) um apart, and what a worker measures that is `wrong` here and there.

    Each row `landed_px` (x, y) off its place.
    """
    spots = {row * 5 + col: (2.4 * col, 1.8 * row) for row in range(rows) for col in range(5)}
    off_um = FIELD.pixel_size_um * np.array(landed_px or [(0.0, 0.0)] * rows)
    inverse = np.linalg.inv(matrix_um)
    edges = []
    for a, b in itertools.combinations(spots, 2):
        step = np.subtract(spots[b], spots[a])
        if (abs(step) <= (2.5, 1.9)).all() and not step.all():
            x_px, y_px = inverse @ (step + off_um[b // 5] - off_um[a // 5]) + (17.0 if len(edges) in wrong else 0.0)
            edges.append(Edge(a, b, float(x_px), float(y_px), 0.9, accepted=True))
    return {index: Place(x, y, (True, True)) for index, (x, y) in spots.items()}, edges


def test_one_row_tells_scale_and_turn() -> None:
    found = measured_matrix(FIELD, *grid(truth(0.96, 1.2), rows=1))
    assert found is not None
    assert found.matrix_um == pytest.approx(truth(0.96, 1.2), abs=FIELD.pixel_size_um * 0.002)


def test_two_rows_tell_that_the_axes_are_not_square() -> None:
    sheared = truth(1.02, 0.5) @ np.array([[1.0, 0.004], [0.0, 1.0]])
    found = measured_matrix(FIELD, *grid(sheared, rows=6))
    assert found is not None
    assert found.matrix_um == pytest.approx(
        sheared, abs=FIELD.pixel_size_um * 0.001
    )  # half the shear is what the prior allows for


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_knows_how_little_rows_tell_that_landed_as_a_whole(rows: int) -> None:
    random, deviations = np.random.default_rng(rows), []
    sweeps = {tile: tile // 5 for tile in range(5 * rows)}
    for _ in range(40):
        landed_px = random.normal(0, 2.0, (rows, 2)).tolist()
        found = measured_matrix(FIELD, *grid(truth(1.0, 0.0), rows, landed_px=landed_px), sweeps)
        assert found is not None
        off = np.linalg.norm(found.matrix_um / FIELD.pixel_size_um - np.eye(2), 2)
        deviations.append(off / found.relative_sd)
    assert max(deviations) < 3  # of 40 in two directions, less than one by chance in five


def test_a_wrong_match_has_no_say() -> None:
    found = measured_matrix(FIELD, *grid(truth(0.96, 1.2), rows=4, wrong={5}))
    assert found is not None
    assert found.matrix_um == pytest.approx(truth(0.96, 1.2), abs=FIELD.pixel_size_um * 0.003)


def test_says_nothing_about_tiles_that_nothing_joins() -> None:
    places, _ = grid(truth(1.0, 0.0), rows=2)
    assert measured_matrix(FIELD, places, []) is None
