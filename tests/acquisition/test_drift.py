"""Drift correction in the twin's world, whose true drift is at hand."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from acquisition.drift import DriftControl, drift_problems
from acquisition.field import Field
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Cut, Instructions
from acquisition.journal import Event
from acquisition.keeping import Keeping
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from hardware_sim.settings import NAMED, WorldSettings
from tests.acquisition.world_rig import WorldRig, grain

PIXEL_UM = 0.02
ANCHOR_UM = (20.0, 20.0)
SPECIMEN = grain(40.0, PIXEL_UM)
TILE_S = 10.0


def world(seed: int = 3, **mechanics: float) -> WorldRig:
    """`lab` drifting by 20 nm/min, on a stage that lands where it should unless a test says otherwise."""
    exact = {"drift_nm_per_min": 20.0, "position_error_px_rms": 0.0, "backlash_px": 0.0}
    lab = NAMED["lab"].model_dump()
    lab["camera"] |= {"frame_shape_px": (128, 128)}
    lab["mechanics"] |= exact | mechanics
    return WorldRig(WorldSettings.model_validate(lab), SPECIMEN, seed=seed)


class Run:
    """Drift control in a world; remembers what it noted, and where the specimen was when it began."""

    def __init__(
        self,
        stage: WorldRig,
        folder: Path,
        history: tuple[Event, ...] = (),
        fields_um: tuple[tuple[float, float], ...] = (ANCHOR_UM,),
        camera_to_stage: tuple[tuple[float, float], ...] = ((1.0, 0.0), (0.0, 1.0)),
        **drift: Any,
    ) -> None:
        region = {"x_um": (5.0, 35.0), "y_um": (5.0, 35.0)}
        plan = Plan.model_validate({"region": region, "drift": {"policy": "anchor"} | drift})
        self.stage, self.told = stage, Instructions()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.control = DriftControl(
            stage.rig,
            plan,
            PIXEL_UM * np.array(camera_to_stage),
            fields_um,
            self.told,
            lambda kind, **data: self.events.append((kind, data)),
            folder,
            history,
            stage.clock.now_s,
            self.beat,
        )
        self.beats = 0
        self.began_um = self.drift_um()

    def beat(self) -> None:
        self.beats += 1

    def drift_um(self) -> np.ndarray:
        return self.stage.world.scanner.drift_um(self.stage.clock.now_s())[:2]

    def off_px(self) -> float:
        """How far a target would miss its place now."""
        return float(np.hypot(*(self.drift_um() - self.began_um + self.control.offset_um))) / PIXEL_UM

    def go_on(self, for_s: float) -> list[float]:
        """Take tiles for so long; how far each of them is off."""
        until_s, off_px = self.stage.clock.now_s() + for_s, []
        while self.stage.clock.now_s() < until_s:
            if self.control.due():
                self.control.measure()
            self.stage.clock.advance(TILE_S)
            off_px.append(self.off_px())
        return off_px

    def history(self) -> tuple[Event, ...]:
        return tuple(Event(i, "", kind, data) for i, (kind, data) in enumerate(self.events))

    def named(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.events if name == kind]


@pytest.mark.parametrize("seed", [0, 3])
def test_targets_follow_the_specimen_within_a_pixel(tmp_path: Path, seed: int) -> None:
    run = Run(world(seed), tmp_path)
    run.control.prepare()
    assert max(run.go_on(20 * 60.0)) < 1.0
    uncorrected_px = np.hypot(*(run.drift_um() - run.began_um)) / PIXEL_UM
    assert uncorrected_px > 5.0


def test_landing_errors_are_averaged_out(tmp_path: Path) -> None:
    run = Run(world(position_error_px_rms=3.0, backlash_px=6.0), tmp_path)
    run.control.prepare()
    off_px = run.go_on(8 * 60.0)
    # a single landing is 3 px off, rms; a visit of eight 1.1 px, and the reference 0.6 px
    assert np.sqrt(np.mean(np.square(off_px))) < 2.0


def test_each_landing_is_a_sign_of_life(tmp_path: Path) -> None:
    run = Run(world(position_error_px_rms=3.0), tmp_path)
    run.control.prepare()
    assert run.beats == run.stage.camera.snaps


class Watched:
    """Stands for the pulse that a guardian looks at, in the world's time."""

    def __init__(self, stage: WorldRig) -> None:
        self._stage = stage
        self._due_s = self.late_s = 0.0

    def beat(self, longer_s: float = 0.0) -> None:
        self.look()
        self._due_s = self._stage.clock.now_s() + longer_s

    def look(self) -> None:
        self.late_s = max(self.late_s, self._stage.clock.now_s() - self._due_s)


def test_no_guardian_takes_a_visit_with_long_exposures_for_dead(tmp_path: Path) -> None:
    stage, exposure_s = world(drift_nm_per_min=0.0), 45.0
    region = {"x_um": (15.0, 19.0), "y_um": (15.0, 19.0)}
    camera = {"exposure_ms": 1000 * exposure_s}
    plan = Plan.model_validate({"region": region, "camera": camera, "drift": {"policy": "anchor"}})
    rig, heart, pulse = stage.rig.settings.model_dump(mode="json"), Heartbeat.unshared(), Watched(stage)
    heart.engine = pulse  # type: ignore[assignment]
    snap = stage.camera.snap

    def expose() -> Any:
        stage.clock.advance(exposure_s)
        pulse.look()
        return snap()

    stage.camera.snap = expose  # type: ignore[method-assign]
    with closing(RunStore.create(tmp_path / "run", plan, Field((128, 128), PIXEL_UM), rig)) as store:
        keeping = Keeping(store, stage.rig, Instructions(), store.journal.note, heart)
        keeping.prepare(store.tiles()[0])
        seen = stage.camera.snaps
        stage.world.scanner.drift_burst(1.5, 0.0, over_s=1.0)  # out of sight: it is searched for
        keeping.prepare(store.tiles()[0])
        assert len(store.journal.events(kind="drift_measured")) == 2
    assert stage.camera.snaps > seen + 3
    assert pulse.late_s == 0.0


def test_a_specimen_that_rests_is_visited_ever_more_seldom(tmp_path: Path) -> None:
    run = Run(world(drift_nm_per_min=0.0), tmp_path, longest_s=300.0)
    run.control.prepare()
    assert max(run.go_on(3600.0)) < 0.2
    assert run.named("drift_measured")[-1]["next_s"] == 300.0


def test_a_specimen_that_drifts_fast_is_visited_often(tmp_path: Path) -> None:
    folders = tmp_path / "slow", tmp_path / "fast"
    slow, fast = (Run(world(drift_nm_per_min=rate), at) for rate, at in zip((10.0, 30.0), folders, strict=True))
    for run, folder in zip((slow, fast), folders, strict=True):
        folder.mkdir()
        run.control.prepare()
        run.go_on(900.0)
    assert len(fast.events) > 1.5 * len(slow.events)
    assert all(20.0 <= data["next_s"] <= 900.0 for run in (slow, fast) for data in run.named("drift_measured"))


def test_a_slip_is_followed_and_told(tmp_path: Path) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    run.go_on(300.0)
    run.stage.world.scanner.drift_burst(0.4, -0.3, over_s=1.0)
    run.go_on(60.0)
    assert run.off_px() < 1.0
    assert any(data["slipped"] for data in run.named("drift_measured"))


@pytest.mark.parametrize("slip_um", [(1.5, 0.0), (-0.9, 0.9)])  # 75 and 64 px of a field of 128
def test_an_anchor_that_slipped_out_of_sight_is_found_beside(tmp_path: Path, slip_um: tuple[float, float]) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    run.stage.world.scanner.drift_burst(*slip_um, over_s=1.0)
    run.go_on(60.0)
    assert run.off_px() < 1.0


def test_a_field_that_is_gone_is_refused_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    run.go_on(120.0)
    before_um = run.control.offset_um
    run.stage.world.scanner.drift_burst(4.0, 0.0, over_s=1.0)  # 200 px of a field of 128
    run.stage.clock.advance(60.0)
    run.control.measure()
    reasons = [data["reason"] for data in run.named("drift_refused")]
    assert len(reasons) == 2  # tried once more
    assert run.control.offset_um == pytest.approx(before_um, abs=2 * PIXEL_UM)
    assert not run.control.due()
    run.stage.clock.advance(20.0)
    assert run.control.due()


def test_visits_that_fail_again_and_again_become_rare(tmp_path: Path) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    run.stage.world.scanner.drift_burst(4.0, 0.0, over_s=1.0)
    run.go_on(3600.0)
    # 20, 40, 80, ... 640, 900, 900 s; two tries each
    assert len(run.named("drift_refused")) <= 20


def test_a_run_without_a_recognisable_field_goes_on_uncorrected(tmp_path: Path) -> None:
    run = Run(world(), tmp_path, fields_um=((90.0, 90.0), (80.0, 80.0)))
    run.control.prepare()
    assert [kind for kind, _ in run.events] == ["drift_refused", "drift_refused"]
    assert not run.control.due()
    assert run.control.offset_um == (0.0, 0.0)


def test_the_next_field_is_taken_where_the_first_shows_nothing(tmp_path: Path) -> None:
    run = Run(world(), tmp_path, fields_um=((90.0, 90.0), ANCHOR_UM))
    run.control.prepare()
    run.go_on(120.0)
    assert run.off_px() < 1.0


def test_a_resumed_run_keeps_its_reference(tmp_path: Path) -> None:
    first = Run(world(), tmp_path)
    first.control.prepare()
    first.go_on(600.0)
    first.stage.clock.advance(300.0)  # nobody was there
    later = Run(first.stage, tmp_path, first.history())
    later.began_um = first.began_um
    assert later.control.offset_um == (first.named("drift_measured")[-1]["x_um"], first.events[-1][1]["y_um"])
    reference = (tmp_path / "anchor.npy").read_bytes()
    later.control.prepare()
    assert later.off_px() < 1.0
    assert (tmp_path / "anchor.npy").read_bytes() == reference


def test_a_lost_reference_is_replaced_where_the_anchor_was_seen_last(tmp_path: Path) -> None:
    first = Run(world(), tmp_path)
    first.control.prepare()
    first.go_on(600.0)
    (tmp_path / "anchor.npy").write_bytes(b"half a fra")
    later = Run(first.stage, tmp_path, first.history())
    later.began_um = first.began_um
    later.control.prepare()
    assert max(later.go_on(300.0)) < 2.0


def test_the_anchor_is_always_come_to_from_below(tmp_path: Path) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    run.stage.scanner.moves.clear()
    run.stage.clock.advance(20.0)
    run.control.measure()
    for before, target in zip(run.stage.scanner.moves[::2], run.stage.scanner.moves[1::2], strict=True):
        assert before["x"] < target["x"]
        assert before["y"] < target["y"]


def test_a_stop_ends_a_visit_before_its_next_landing(tmp_path: Path) -> None:
    run = Run(world(), tmp_path)
    run.control.prepare()
    noted = len(run.events)
    run.told.stop()
    with pytest.raises(Cut):
        run.control.measure()
    assert len(run.events) == noted


def test_without_the_policy_nothing_moves(tmp_path: Path) -> None:
    run = Run(world(), tmp_path, policy="none")
    run.control.prepare()
    assert not run.control.due()
    assert not run.stage.scanner.moves
    assert run.control.offset_um == (0.0, 0.0)


def test_an_anchor_out_of_reach_is_told_before_the_run() -> None:
    region = {"x_um": (5.0, 35.0), "y_um": (5.0, 35.0)}
    plan = Plan.model_validate({"region": region, "drift": {"policy": "anchor", "anchor_um": (20.0, 120.0)}})
    (problem,) = drift_problems(plan, {"x": (0.0, 100.0), "y": (0.0, 100.0)})
    assert problem == "drift.anchor_um: y = 120 is outside 0..100 um"
    assert not drift_problems(plan, {"x": (0.0, 100.0), "y": (0.0, 200.0)})


def test_visits_cannot_be_at_once_frequent_and_rare() -> None:
    region = {"x_um": (5.0, 35.0), "y_um": (5.0, 35.0)}
    with pytest.raises(ValidationError, match="shortest_s = 20: must not be above longest_s = 10"):
        Plan.model_validate({"region": region, "drift": {"policy": "anchor", "longest_s": 10.0}})


def test_a_turned_camera_moves_targets_in_the_stages_directions(tmp_path: Path) -> None:
    run = Run(world(drift_nm_per_min=0.0), tmp_path, camera_to_stage=((0.0, 1.0), (1.0, 0.0)))
    run.control.prepare()
    run.stage.world.scanner.drift_burst(0.2, 0.0, over_s=1.0)
    run.stage.clock.advance(20.0)
    run.control.measure()
    assert run.control.offset_um == pytest.approx((0.0, -0.2), abs=0.005)
