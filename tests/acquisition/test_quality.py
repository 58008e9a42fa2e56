"""Quality: what is wrong with a frame is found, a healthy specimen is no alarm, and retakes keep to their budget."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.frame_flaws import frozen, saturated_part, unsharp
from acquisition.journal import Attempt
from acquisition.judging import doubt_calibration
from acquisition.neighbour_check import NeighbourCheck, expected_ncc, unmatched
from acquisition.plan import Plan, Quality
from acquisition.quality import QualityControl
from acquisition.run_frames import RunFrames
from acquisition.run_store import RunStore
from hardware_sim.optics import Microscope
from hardware_sim.sensor import Region, Sensor
from hardware_sim.settings import NAMED
from hardware_sim.specimen import load_specimen
from hardware_sim.surface import Surface
from reconstruction.neighbours import are_neighbours
from reconstruction.registration import Edge, register

Pixels = NDArray[np.uint16]
SIDE_PX = 256
PIXEL_UM = 0.02
FIELD = Field((SIDE_PX, SIDE_PX), PIXEL_UM)
STEP_PX = 205  # a fifth is shared
ACROSS = 4


class Bench:
    """Photographs a specimen of the twin, field by field; `defocus_um` blurs."""

    def __init__(self, specimen: str, seed: int = 1) -> None:
        settings = NAMED["lab"].camera.model_copy(update={"frame_shape_px": (SIDE_PX, SIDE_PX)})
        whole = load_specimen(specimen, PIXEL_UM * 1000, seed)
        self._microscope = Microscope(whole, settings, NAMED["lab"].optics, Surface(whole, (0.0, 0.0)))
        self._sensor = Sensor(settings, seed)
        self._random = np.random.Generator(np.random.SFC64(seed))
        self._landing = np.random.default_rng(seed)
        self._corner_um = [side / 3 for side in whole.size_um]

    def frame(self, tile: int, exposure_s: float = 0.02, defocus_um: float = 0.0, astray_um: float = 0.0) -> Pixels:
        """A tile of a serpentine of rows of four, taken within 3 px of its place."""
        x_um, y_um = (np.array(place(tile)) + self._corner_um + self._landing.normal(0, 2 * PIXEL_UM, 2)).tolist()
        image = self._microscope.render(x_um + astray_um, y_um + astray_um, defocus_um)
        return self._sensor.read(image, Region(0, 0, SIDE_PX, SIDE_PX), exposure_s, self._random)

    def frame_at(self, x_um: float, y_um: float, astray_um: float) -> Pixels:
        """What is seen so far from the corner that the tiles are counted from."""
        left_um, top_um = (corner + astray_um for corner in self._corner_um)
        image = self._microscope.render(left_um + x_um, top_um + y_um)
        return self._sensor.read(image, Region(0, 0, SIDE_PX, SIDE_PX), 0.02, self._random)

    def dark(self) -> Pixels:
        return self._sensor.read_dark(Region(0, 0, SIDE_PX, SIDE_PX), self._random)


def place(tile: int) -> tuple[float, float]:
    row, col = divmod(tile, ACROSS)
    return (col if row % 2 == 0 else ACROSS - 1 - col) * STEP_PX * PIXEL_UM, row * STEP_PX * PIXEL_UM


def attempt(tile: int, number: int = 1, **changes: Any) -> Attempt:
    x_um, y_um = place(tile)
    return Attempt(tile, number, 0, tile, "", x_um, y_um, None, 0.02, verdict="ok", **changes)


@pytest.fixture(scope="module", params=["chip", "alloy", "siemens", "blocks"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


@pytest.fixture(scope="module")
def chip() -> Bench:
    return Bench("chip")


def control(**settings: Any) -> QualityControl:
    return QualityControl(Quality.model_validate({"policy": "retake"} | settings), FIELD, tiles=100)


def warmed_up(chip: Bench, **settings: Any) -> QualityControl:
    """Has judged six good tiles."""
    judge = control(**settings)
    for tile in range(6):
        assert judge.judge(attempt(tile), chip.frame(tile)).attempt.reason is None
    return judge


def test_a_healthy_specimen_raises_no_alarm(bench: Bench) -> None:
    judge = control()
    reasons = [judge.judge(attempt(tile), bench.frame(tile)).attempt.reason for tile in range(6 * ACROSS)]
    assert set(reasons) == {None}


@pytest.mark.parametrize("exposure_s", [0.001, 0.1])
def test_neither_dim_nor_bright_light_is_an_alarm(chip: Bench, exposure_s: float) -> None:
    judge = control()
    reasons = [judge.judge(attempt(tile), chip.frame(tile, exposure_s)).attempt.reason for tile in range(8)]
    assert set(reasons) == {None}


def test_a_featureless_area_is_no_alarm(chip: Bench) -> None:
    judge = warmed_up(chip)
    grey = np.random.default_rng(5).poisson(300, (SIDE_PX, SIDE_PX)).astype(np.uint16) + 100
    for tile in range(6, 9):
        assert judge.judge(attempt(tile), grey + np.uint16(tile)).attempt.reason is None


def test_too_much_light_is_saturation(chip: Bench) -> None:
    judged = warmed_up(chip).judge(attempt(6), chip.frame(6, exposure_s=1.5))
    assert judged.again
    assert judged.attempt.reason is not None
    assert judged.attempt.reason.startswith("saturated")
    assert (judged.attempt.verdict, judged.attempt.cause, judged.pixels) == ("retry", "quality", None)


@pytest.mark.parametrize("bits", [8, 12, 14, 16])
def test_knows_the_full_scale_of_cameras_of_other_depths(chip: Bench, bits: int) -> None:
    frame = chip.frame(0).astype(np.float64)
    bright = np.minimum(frame / frame.mean() * 2**bits, 2**bits - 1).astype(np.uint16)
    assert saturated_part(bright) > 0.1
    assert saturated_part((frame / frame.max() * 0.8 * 2**bits).astype(np.uint16)) == 0.0


def test_no_light_is_black(chip: Bench) -> None:
    reason = warmed_up(chip).judge(attempt(6), chip.dark()).attempt.reason
    assert reason is not None
    assert reason.startswith("black")


def test_the_same_frame_twice_is_frozen(chip: Bench) -> None:
    judge = control()
    frame = chip.frame(0)
    judge.judge(attempt(0), frame)
    reason = judge.judge(attempt(1), frame.copy()).attempt.reason
    assert reason is not None
    assert reason.startswith("frozen")
    assert frozen(chip.frame(0), frame) is None, "the same place is not the same frame"


def test_less_contrast_than_was_asked_for_is_flat(chip: Bench) -> None:
    frame = chip.frame(0)
    contrast = float(frame.std() / frame.mean())
    assert control(least_contrast=0.9 * contrast).judge(attempt(0), frame).attempt.reason is None
    assert control(least_contrast=1.1 * contrast).judge(attempt(0), frame).again


def test_a_blurred_tile_is_unsharp_beside_a_sharp_one(chip: Bench) -> None:
    judge = warmed_up(chip)
    reason = judge.judge(attempt(6), cv2.GaussianBlur(chip.frame(6), (0, 0), 3.0)).attempt.reason
    assert reason is not None
    assert reason.startswith("unsharp")
    assert judge.judge(attempt(6, 2), chip.frame(6)).attempt.reason is None


def test_structure_that_hardly_stands_out_of_the_noise_tells_nothing_about_sharpness() -> None:
    def found(seed: int) -> str | None:
        random = np.random.default_rng(seed)
        broad = cv2.GaussianBlur(random.standard_normal((SIDE_PX, 2 * SIDE_PX)), (0, 0), 5.0)
        light = np.maximum(150 + 20 * broad / broad.std(), 0)
        before, pixels = (100 + random.poisson(light[:, x : x + SIDE_PX]).astype(np.uint16) for x in (0, STEP_PX))
        flaw = unsharp(pixels, before, (float(STEP_PX), 0.0), least=0.5)
        return flaw.reason if flaw else None

    assert {found(seed) for seed in range(20)} == {None}


def test_a_tile_beside_one_that_went_astray_is_not_blamed_for_it(chip: Bench) -> None:
    for tile in range(1, 8):
        astray, good = chip.frame(tile - 1, astray_um=3.0), chip.frame(tile)
        step_px = np.subtract(place(tile), place(tile - 1)) / PIXEL_UM
        assert unsharp(good, astray, (float(step_px[0]), float(step_px[1])), least=0.5) is None


def test_flagging_accepts_every_tile_and_says_what_is_wrong(chip: Bench) -> None:
    judge = control(policy="flag")
    frame = chip.frame(0, exposure_s=1.5)
    judged = judge.judge(attempt(0), frame)
    assert (judged.again, judged.attempt.verdict, judged.pixels is frame) == (False, "ok", True)
    assert judged.attempt.reason is not None


def test_no_policy_looks_at_nothing(chip: Bench) -> None:
    assert control(policy="none").judge(attempt(0), chip.frame(0, exposure_s=1.5)).attempt.reason is None


def test_when_the_retakes_are_used_up_the_least_bad_frame_is_kept(chip: Bench) -> None:
    judge = control(retakes=2)
    frames = [chip.frame(0, exposure_s) for exposure_s in (1.35, 1.2, 1.5)]
    parts = [saturated_part(frame) for frame in frames]
    assert parts[1] == min(parts) > 0.01
    first, second, last = (
        judge.judge(attempt(0, n, camera_frame=n, attending_s=1.0 / n, total_s=2.0 / n), frames[n - 1])
        for n in (1, 2, 3)
    )
    assert (first.again, second.again, last.again) == (True, True, False)
    assert last.pixels is frames[1]
    assert (last.attempt.attempt, last.attempt.camera_frame, last.attempt.verdict) == (3, 2, "ok")
    assert (last.attempt.attending_s, last.attempt.total_s) == (1.0 / 3, 2.0 / 3), "times are those of the last try"
    assert last.attempt.reason is not None


def spoilt(chip: Bench) -> Iterator[Pixels]:
    while True:
        yield chip.frame(0, exposure_s=1.5)


def test_a_run_has_a_budget_of_retakes_and_a_resumed_run_has_what_was_left(chip: Bench) -> None:
    settings = Quality(policy="retake", retakes=1, budget=0.02)
    judge, frames = QualityControl(settings, FIELD, tiles=100), spoilt(chip)
    recorded = [judge.judge(attempt(0), next(frames)).attempt]
    resumed = QualityControl(settings, FIELD, tiles=100, history=recorded)
    assert not resumed.may_retake(0), "this tile has been taken again already"
    assert resumed.judge(attempt(1), next(frames)).again
    assert not resumed.judge(attempt(2), next(frames)).again, "the budget of two is used up"


def overlapping(first: Pixels, second: Pixels) -> Callable[[Edge], float]:
    return lambda edge: expected_ncc(first[:, STEP_PX:], second[:, : SIDE_PX - STEP_PX])


def test_a_tile_that_went_astray_matches_none_of_its_textured_neighbours(chip: Bench) -> None:
    left, right = chip.frame(0), chip.frame(1)
    lost = chip.frame(1, astray_um=4.0)
    good, bad = (register(0, 1, left, pixels, (float(STEP_PX), 0.0)) for pixels in (right, lost))
    assert unmatched([good], overlapping(left, right)) == []
    assert unmatched([bad], overlapping(left, lost)) == [bad]


def test_blank_neighbours_say_nothing_about_a_tile() -> None:
    random = np.random.default_rng(5)
    left, right = (random.poisson(300, (SIDE_PX, SIDE_PX)).astype(np.uint16) for _ in range(2))
    edge = register(0, 1, left, right, (float(STEP_PX), 0.0))
    assert not edge.accepted
    assert unmatched([edge], overlapping(left, right)) == []


def test_a_lattice_that_matches_everywhere_says_nothing_about_a_tile() -> None:
    x = np.arange(SIDE_PX)
    lattice = (1000 + 500 * np.sin(2 * np.pi * x / 8)[None, :] * np.sin(2 * np.pi * x / 8)[:, None]).astype(np.uint16)
    left, right = lattice, np.roll(lattice, 3, axis=1)
    edge = register(0, 1, left, right, (float(STEP_PX), 0.0))
    assert not edge.accepted
    assert unmatched([edge], overlapping(left, right)) == []


def registered_run(path: Path, chip: Bench, field: Field = FIELD, astray: int | None = None) -> RunStore:
    """A run of 3 x 3 tiles of the chip on a rig that was calibrated to `field`, with the edges that a worker finds."""
    side_um = 2.0 * STEP_PX * PIXEL_UM + SIDE_PX * PIXEL_UM
    region = {"x_um": (0.0, side_um), "y_um": (0.0, side_um)}
    plan = Plan.model_validate({"region": region, "tiles": {"overlap": 0.19}})
    calibration = {"frame_shape_px": FIELD.shape_px, "pixel_size_um": PIXEL_UM}
    store = RunStore.create(path, plan, field, {"calibration": calibration})
    frames = {}
    for tile in store.tiles():
        taken = replace(attempt(tile.index), row=tile.row, actual_x_um=tile.x_um, actual_y_um=tile.y_um)
        frames[tile.index] = chip.frame_at(tile.x_um, tile.y_um, 5.0 if tile.index == astray else 0.0)
        store.record(taken, frames[tile.index])
    source = RunFrames(store.path, remember_edges=True)
    for first, second in itertools.combinations(source.planned(), 2):
        if are_neighbours(first, second, FIELD.shape_px):
            step_px = second.x_px - first.x_px, second.y_px - first.y_px
            pixels = frames[first.index], frames[second.index]
            source.report_edge(register(first.index, second.index, *pixels, step_px))
    source.store.close()
    return store


def test_the_tile_that_went_astray_is_found_and_its_neighbours_are_not_blamed(tmp_path: Path, chip: Bench) -> None:
    with closing(registered_run(tmp_path / "run", chip, astray=4)) as store:
        check = NeighbourCheck(store)
        (suspect,) = check.suspects(up_to_row=2)
        assert suspect[0] == 4
        assert check.suspects(up_to_row=2) == [], "each frame is judged once"
        assert check.nothing_matches() is None


def test_a_camera_that_is_turned_is_told_since_nothing_matches(tmp_path: Path, chip: Bench) -> None:
    turned = Field(FIELD.shape_px, FIELD.pixel_size_um, ((-PIXEL_UM, 0.0), (0.0, -PIXEL_UM)))
    with closing(registered_run(tmp_path / "run", chip, turned)) as store:
        assert NeighbourCheck(store).suspects(up_to_row=2) == [], "not one tile is to blame"
        doubt_calibration(store)
        doubt_calibration(store)
        (doubt,) = store.journal.events(kind="calibration_doubtful")
    assert "none of 6 overlaps within rows matches" in str(doubt.data["reason"])
