"""Focus over a tilted specimen; the world says how far out of focus each tile really was."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.engine import run as acquire
from acquisition.field import Field
from acquisition.focus import FocusControl
from acquisition.focus_axis import focus_inabilities, focus_problems, focus_warnings
from acquisition.force_errors import ForceTripped
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Cut, Instructions
from acquisition.journal import Event
from acquisition.keeping import Keeping
from acquisition.overlap import PlannedTile
from acquisition.plan import Force, Plan
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.tile_fates import tile_fates
from devices.errors import DeviceError, Saturated, Stale
from devices.rig_file import RigSettings
from hardware_sim.settings import NAMED, WorldSettings
from tests.acquisition.world_rig import PROBE, RIG, WorldRig, grain

STRONG = 0.95
"""Aperture of a strong dry lens: within 0.3 um of the focus it is sharp, and a tilt of 2 mrad is more than that."""
HALF_DEPTH_UM = 0.55 / STRONG**2 / 2
TILT_MRAD = (2.0, -1.5)
PLACES_UM = (14.0, 32.0, 50.0, 68.0, 86.0)
SPECIMEN = grain(100.0, 0.05)
TILES = [
    PlannedTile(5 * row + i, row, col, PLACES_UM[col], PLACES_UM[row])
    for row in range(5)
    for i, col in enumerate(range(5) if row % 2 == 0 else range(4, -1, -1))
]


def world(na: float = STRONG, tilt_mrad: tuple[float, float] = TILT_MRAD, focus_stage: bool = False) -> WorldRig:
    """`lab`, with a strong lens over a specimen that was levelled carelessly; half-way up, and roughly in focus."""
    lab = NAMED["lab"].model_dump()
    lab["camera"] |= {"frame_shape_px": (128, 128)}
    lab["optics"] |= {"na": na}
    if not focus_stage:  # then it only holds the microscope, exactly where a test wants it
        lab["focus"] |= {"play_um": 0.0, "scatter_um": 0.0}
    settings = WorldSettings.model_validate(lab | {"specimen_tilt_mrad": tilt_mrad})
    stage = WorldRig(settings, SPECIMEN, focus_stage)
    stage.scanner.move_to({"z": 5.0})
    stage.focus.move_to({"z": 50_005.4})
    return stage


def half_out_of_reach() -> WorldRig:
    """2.6 um from corner to corner, of which the scanner reaches the lower half."""
    stage = world(tilt_mrad=(20.0, -16.0))
    stage.scanner.move_to({"z": 9.5})
    stage.focus.move_to({"z": 50_009.9})
    return stage


class Run:
    """Focus control over the tiles of a world."""

    def __init__(self, stage: WorldRig, policy: str, history: tuple[Event, ...] = (), **focus: Any) -> None:
        region = {"x_um": (5.0, 95.0), "y_um": (5.0, 95.0)}
        self.plan = Plan.model_validate({"region": region, "focus": {"policy": policy} | focus})
        self.stage, self.told = stage, Instructions()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.doubts: dict[int, str] = {}
        self.focus = FocusControl(stage.rig, self.plan, TILES, self.told, self.note, history, stage.clock.now_s)

    def note(self, kind: str, **data: object) -> None:
        self.events.append((kind, data))

    def named(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.events if name == kind]

    def history(self) -> tuple[Event, ...]:
        return tuple(Event(i, "", kind, data) for i, (kind, data) in enumerate(self.events))

    def take(
        self, tiles: list[PlannedTile] = TILES, before: Callable[[PlannedTile], None] = lambda tile: None
    ) -> list[float]:
        """How far out of focus each tile is; the run is prepared already."""
        errors_um, row = [], None
        for tile in tiles:
            self.stage.scanner.move_to({"x": tile.x_um, "y": tile.y_um})
            before(tile)
            if doubt := self.focus.at_tile(tile, tile.row != row):
                self.doubts[tile.index] = doubt
            row = tile.row
            errors_um.append(abs(self.stage.defocus_um()))
        return errors_um


def test_without_a_policy_corners_are_blurred_and_nothing_moves() -> None:
    run = Run(world(), "none")
    moved = len(run.stage.scanner.moves)
    run.focus.prepare()
    assert max(run.take()) > 1.5 * HALF_DEPTH_UM
    assert all("z" not in move for move in run.stage.scanner.moves[moved:])
    assert run.focus.z_um is None


@pytest.mark.parametrize("policy", ["map", "tile", "row"])
def test_every_tile_of_a_tilted_specimen_is_in_focus(policy: str) -> None:
    run = Run(world(), policy)
    run.focus.prepare()
    assert max(run.take()) < HALF_DEPTH_UM
    assert not run.named("focus_refused")
    assert not run.doubts


def test_tiles_whose_focus_lies_beyond_the_travel_are_doubtful() -> None:
    run = Run(half_out_of_reach(), "map", range_um=1.0)
    run.focus.prepare()
    errors_um = run.take()
    blurred = {tile.index for tile, error_um in zip(TILES, errors_um, strict=True) if error_um > HALF_DEPTH_UM}
    assert blurred
    assert blurred <= run.doubts.keys()
    assert all(errors_um[tile] > HALF_DEPTH_UM / 4 for tile in run.doubts)
    assert all("clamped to 9." in doubt for doubt in run.doubts.values())  # no higher was measured
    by_row = Run(half_out_of_reach(), "row", range_um=1.0)
    by_row.take()
    assert any(doubt.endswith("clamped to 10 um") for doubt in by_row.doubts.values())


def test_the_journal_and_the_report_name_tiles_of_doubtful_focus(tmp_path: Path) -> None:
    stage = half_out_of_reach()
    plan = Run(stage, "map", range_um=1.0).plan
    file = stage.rig.settings.model_dump(mode="json")
    with closing(RunStore.create(tmp_path / "run", plan, Field((128, 128), 0.2), file)) as store:
        assert acquire(store, stage.rig, Instructions(attended=False)) is Outcome.COMPLETED
        fates = tile_fates(store.tiles(), [attempt for _, attempt in store.journal.attempts()])
        clamped = [fate for fate in fates if any("clamped to" in reason for reason in fate.reasons)]
        assert 0 < len(clamped) < len(fates)
        assert {fate.fate for fate in clamped} == {"flagged"}


def test_once_is_once_and_follows_no_tilt() -> None:
    run = Run(world(), "once")
    run.focus.prepare()
    errors_um = run.take()
    assert errors_um[0] < 0.1 * HALF_DEPTH_UM < max(errors_um)
    assert len(run.named("focus_measured")) == 1


@pytest.mark.parametrize("policy", ["map", "tile"])
def test_a_motorised_stage_with_play_keeps_a_steep_specimen_in_focus(policy: str) -> None:
    # 10 and -8 mrad: 1.3 um from corner to corner, for a lens that is sharp within 0.9 um
    run = Run(world(na=0.55, tilt_mrad=(10.0, -8.0), focus_stage=True), policy)
    run.stage.scanner.move_to({"z": 0.5})
    run.stage.focus.move_to({"z": 50_001.0})
    run = Run(run.stage, policy)
    run.focus.prepare()
    # the drive ends anywhere within 0.17 um rms of where it was sent: 0.6 is 3.5 of that
    assert max(run.take()) < 0.6


def test_the_stage_comes_to_every_height_from_above() -> None:
    run = Run(world(na=0.55, focus_stage=True), "tile")
    run.stage.scanner.move_to({"z": 0.5})
    run = Run(run.stage, "tile")
    run.stage.focus.moves.clear()
    run.take(TILES[:3])
    ways = np.sign(np.diff(run.stage.focus.moves))
    ups = np.array(run.stage.focus.moves[1:])[ways > 0]
    assert len(ups) > 3
    assert np.all(ways[1:][ways[:-1] > 0] < 0)  # after each way up comes one down: nothing is exposed on the way up


def test_a_map_is_measured_at_places_all_over_the_region() -> None:
    run = Run(world(), "map", map_points=5)
    run.focus.prepare()
    places = {(data["x_um"], data["y_um"]) for data in run.named("focus_measured")}
    assert {(14.0, 14.0), (86.0, 86.0), (14.0, 86.0), (86.0, 14.0), (50.0, 50.0)} == places
    run.take()
    assert len(run.named("focus_measured")) == 5


def test_a_resumed_run_measures_nothing_twice() -> None:
    stage = world()
    first = Run(stage, "map")
    first.focus.prepare()
    later = Run(stage, "map", first.history())
    later.focus.prepare()
    assert later.take(TILES[3:4])[0] < HALF_DEPTH_UM
    assert len(later.events) == 1  # how far the map has moved while nobody looked
    by_tile = Run(stage, "tile")
    by_tile.take(TILES[:4])
    resumed = Run(stage, "tile", by_tile.history())
    assert max(resumed.take(TILES[3:6])) < HALF_DEPTH_UM
    assert [data["tile"] for data in resumed.named("focus_measured")] == [4, 5]


def test_a_map_that_was_cut_short_goes_on_where_it_was() -> None:
    run = Run(world(), "map", map_points=4)
    exposures = run.stage.camera.snaps

    def pause(kind: str, **data: object) -> None:
        run.note(kind, **data)
        if len(run.named("focus_measured")) == 2:
            run.told.pause("now")

    run.focus = FocusControl(run.stage.rig, run.plan, TILES, run.told, pause, (), run.stage.clock.now_s)
    with pytest.raises(Cut):
        run.focus.prepare()
    assert len(run.named("focus_measured")) == 2
    run.told.notice()
    run.told.resume()
    run.focus.prepare()
    assert len({data["tile"] for data in run.named("focus_measured")}) == 4 == len(run.named("focus_measured"))
    assert run.stage.camera.snaps > exposures


def test_each_exposure_of_a_search_is_a_sign_of_life() -> None:
    run, beats = Run(world(), "map"), []
    run.focus = FocusControl(run.stage.rig, run.plan, TILES, run.told, run.note, beat=lambda: beats.append(1))
    run.focus.prepare()
    assert len(beats) == run.stage.camera.snaps > 0


def test_a_stop_ends_a_search_before_its_next_exposure() -> None:
    run = Run(world(), "tile")
    snap = run.stage.camera.snap

    def stop_at_third() -> Any:
        if run.stage.camera.snaps == 2:
            run.told.stop("by hand")
        return snap()

    run.stage.camera.snap = stop_at_third  # type: ignore[method-assign]
    with pytest.raises(Cut):
        run.take(TILES[:1])
    assert run.stage.camera.snaps == 3
    assert run.focus.z_um is None


def test_a_field_without_detail_costs_nothing_but_a_line_in_the_journal() -> None:
    run = Run(world(), "tile")
    snap = run.stage.camera.snap

    def without_light(tile: PlannedTile) -> None:
        dark = tile.index in (4, 5)
        run.stage.camera.snap = dark_frame if dark else snap  # type: ignore[method-assign]

    def dark_frame() -> Any:
        frame = snap()
        frame.pixels[:] = np.random.default_rng(0).poisson(100.0, frame.pixels.shape)
        return frame

    errors_um = run.take(TILES[:8], before=without_light)
    assert [data["tile"] for data in run.named("focus_refused")] == [4, 5]
    assert "nothing stands out" in run.named("focus_refused")[0]["reason"]
    assert max(errors_um) < HALF_DEPTH_UM  # where nothing was found, the plane through the others was


def test_an_implausible_jump_is_refused_and_said() -> None:
    run = Run(world(), "tile", largest_jump_um=0.5, range_um=6.0)

    def dust(tile: PlannedTile) -> None:
        run.stage.focus.move_to({"z": 50_005.4 + (2.0 if tile.index == 6 else 0.0)})

    # in the world of this test the other stage holds the microscope: 2 um higher, all is sharp 2 um higher
    errors_um = run.take(TILES[:9], before=dust)
    (refused,) = run.named("focus_refused")
    assert refused["tile"] == 6
    assert "largest_jump_um = 0.5" in refused["reason"]
    assert max(errors_um[:6] + errors_um[7:]) < HALF_DEPTH_UM


def test_a_jump_that_stays_is_believed_in_the_end() -> None:
    run = Run(world(), "tile", largest_jump_um=0.5, range_um=6.0)

    def knock(tile: PlannedTile) -> None:
        if tile.index == 6:
            run.stage.focus.move_to({"z": 50_007.4})

    errors_um = run.take(TILES[:12], before=knock)
    assert [data["tile"] for data in run.named("focus_refused")] == [6, 7]
    assert max(errors_um[8:]) < HALF_DEPTH_UM


def test_a_point_that_contradicts_the_map_is_left_out() -> None:
    run = Run(world(), "map", range_um=6.0)
    move_to = run.stage.scanner.move_to

    def with_dust(targets_um: dict[str, float]) -> None:
        if "x" in targets_um:
            centre = targets_um == {"x": 50.0, "y": 50.0}
            run.stage.focus.move_to({"z": 50_005.4 + (2.0 if centre else 0.0)})
        move_to(targets_um)

    run.stage.scanner.move_to = with_dust  # type: ignore[method-assign,assignment]
    run.focus.prepare()
    run.stage.scanner.move_to = move_to  # type: ignore[method-assign]
    run.stage.focus.move_to({"z": 50_005.4})
    assert [data["tile"] for data in run.named("focus_refused")] == [12]
    assert max(run.take()) < HALF_DEPTH_UM
    later = Run(run.stage, "map", run.history())
    later.focus.prepare()
    assert not later.events


def test_an_old_map_is_checked_at_the_next_row() -> None:
    run = Run(world(), "map")
    run.focus.prepare()
    measured = len(run.events)
    run.stage.clock.advance(3600.0)
    run.stage.focus.move_to({"z": 50_005.4 + 0.6})  # an hour's drift of a bad day
    errors_um = run.take()
    assert len(run.events) == measured + 1
    assert max(errors_um) < HALF_DEPTH_UM


FOCUS = """
[devices.focus]
driver = "esp301"
url = "socket://127.0.0.1:1"
axis = 1
limits_um = [0.0, 100000.0]
"""
COUNT_UM = 0.05
"""Of the encoder, by which the run knows where it found the stage."""


def with_probe(clear_above_um: float | None = None, sharper_downwards: bool = False) -> WorldRig:
    """A probe 8 um above the specimen, on the stage of the focus; the nearer the sharper, if wanted."""
    stage = WorldRig(NAMED["still"], SPECIMEN, probe=True, clear_above_um=clear_above_um)
    stage.scanner.move_to({"z": 0.0})
    stage.focus.move_to({"z": 50_000.0})
    stage.world.cantilever.watch_force(0.0)
    snap = stage.camera.snap

    def ever_sharper_downwards() -> Any:
        frame = snap()
        contrast = 1 + (50_020.0 - stage.focus.moves[-1]) / 20.0
        return replace(frame, pixels=(100 + contrast * (frame.pixels - 100.0)).astype(np.uint16))

    if sharper_downwards:
        stage.camera.snap = ever_sharper_downwards  # type: ignore[method-assign]
    return stage


@pytest.mark.parametrize("clear_above_um", [None, 49_994.0])
@pytest.mark.parametrize("range_um", [4.0, 40.0])
def test_no_search_presses_a_probe_that_rides_on_the_stage(clear_above_um: float | None, range_um: float) -> None:
    stage = with_probe(clear_above_um, sharper_downwards=True)
    Run(stage, "tile", range_um=range_um).take(TILES[:2])
    assert stage.world.cantilever.watched_force()["peak_nn"] is None
    assert min(stage.focus.moves) >= (clear_above_um or 50_000.0)


def test_from_run_to_run_the_probe_comes_no_nearer() -> None:
    stage = with_probe(49_998.0, sharper_downwards=True)
    for _ in range(4):
        run = Run(stage, "tile")
        run.take(TILES[:2])
        run.focus.lift_back()
    assert stage.world.focus.position_mm() * 1000.0 == pytest.approx(50_000.0, abs=COUNT_UM)
    assert min(stage.focus.moves) == 49_998.0


def test_a_probe_that_meets_something_in_a_search_is_lifted_before_it_is_told() -> None:
    stage = with_probe(49_900.0, sharper_downwards=True)  # a rig file that is wrong: it touches at 49 992
    run = Run(stage, "tile", range_um=20.0)
    with pytest.raises(ForceTripped, match=r"limit 2000 nN, in a search of the focus"):
        run.take(TILES[:1])
    assert stage.focus.moves[-1] == 50_020.0
    assert not stage.world.cantilever.touches()
    assert len(run.named("force_tripped")) == 1


@pytest.mark.parametrize("error", [Stale, Saturated])
def test_a_search_without_a_reading_lifts_the_probe(error: type[DeviceError]) -> None:
    stage = with_probe(49_994.0)
    asked: list[int] = []

    def fails() -> float:
        asked.append(1)
        if len(asked) > 3:  # it comes back by itself, once the probe is lifted
            assert stage.focus.moves[-1] == 50_020.0
            return 0.0
        raise error("force", "is not to be believed")

    assert stage.rig.force is not None
    stage.rig.force.read_force_nn = fails  # type: ignore[method-assign]
    with pytest.raises(ForceTripped, match="not to be believed"):
        Run(stage, "tile").take(TILES[:1])
    assert len(asked) == 4
    assert stage.focus.moves[-1] == 50_020.0


def test_a_resumed_run_seeks_the_focus_where_the_first_one_began() -> None:
    stage = with_probe(sharper_downwards=True)
    first = Run(stage, "tile")
    stage.focus.move_to({"z": 50_005.0})  # where a search was when its process was killed
    resumed = Run(stage, "tile", first.history())
    resumed.take(TILES[:1])
    assert stage.focus.moves[-1] == 50_000.0
    stage.focus.move_to({"z": 50_005.0})
    resumed.focus.lift_back()
    assert stage.world.focus.position_mm() * 1000.0 == pytest.approx(50_000.0, abs=COUNT_UM)


def test_a_search_that_was_cut_short_is_lifted_back() -> None:
    stage = with_probe(49_994.0)
    run = Run(stage, "tile", range_um=10.0)
    snap = stage.camera.snap

    def stop_low() -> Any:
        if stage.focus.moves[-1] < 49_999.0:
            run.told.stop()
        return snap()

    stage.camera.snap = stop_low  # type: ignore[method-assign]
    with pytest.raises(Cut):
        run.take(TILES[:1])
    assert stage.world.focus.position_mm() < 49.999
    run.focus.lift_back()
    assert stage.world.focus.position_mm() * 1000.0 == pytest.approx(50_000.0, abs=COUNT_UM)


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_ends_or_pauses_takes_the_probe_back_up(tmp_path: Path, ends: bool) -> None:
    stage = with_probe(49_994.0, sharper_downwards=True)
    plan = Run(stage, "map", map_points=3).plan
    file, told = stage.rig.settings.model_dump(mode="json"), Instructions()
    with closing(RunStore.create(tmp_path / "run", plan, Field((512, 512), 0.02), file)) as store:
        with Keeping(store, stage.rig, told, store.journal.note, Heartbeat.unshared()) as keeping:
            keeping.prepare(store.tiles()[0])
            assert stage.world.focus.position_mm() < 49.999
            if not ends:
                keeping.rest()
                assert stage.world.focus.position_mm() * 1000.0 == pytest.approx(50_000.0, abs=COUNT_UM)
        assert stage.world.focus.position_mm() * 1000.0 == pytest.approx(50_000.0, abs=COUNT_UM)
    assert stage.world.cantilever.watched_force()["peak_nn"] is None


def test_a_probe_of_which_nobody_says_how_low_it_may_go_is_told_of() -> None:
    rig = RigSettings.from_toml(RIG + FOCUS + PROBE)
    (warning,) = focus_warnings(Run(stage := with_probe(), "row").plan, rig)
    assert "only upwards" in warning
    assert "devices.force.clear_above_um" in warning
    assert not focus_warnings(Run(stage, "none").plan, rig)
    clear = RigSettings.from_toml(RIG + FOCUS + PROBE + "clear_above_um = 49_994.0\n")
    assert not focus_warnings(Run(stage, "row").plan, clear)


def test_no_focus_is_sought_with_a_probe_that_the_force_holds() -> None:
    stage = WorldRig(NAMED["still"], SPECIMEN, probe=True)
    plan = Run(stage, "tile").plan
    held = plan.model_copy(update={"force": Force(policy="hover")})
    (problem,) = focus_problems(held, stage.rig.settings)
    assert "focus.policy = 'tile'" in problem
    assert "force.policy = 'hover'" in problem


def test_a_rig_that_cannot_focus_is_told_before_the_run() -> None:
    stage = world()
    stage.scanner.move_to({"z": 0.0})
    (problem,) = focus_inabilities(Run(stage, "tile").plan, stage.rig)
    assert "focus.policy = 'tile'" in problem
    assert "focus.range_um = 4" in problem
    assert not focus_inabilities(Run(stage, "none").plan, stage.rig)
    with_stage = world(focus_stage=True)
    assert not focus_inabilities(Run(with_stage, "tile").plan, with_stage.rig)


@pytest.mark.parametrize(
    "file",
    [
        RIG.replace(', z = "3"', ""),
        RIG.replace("[devices.camera]", "limits_um = { z = [0, 3] }\n[devices.camera]"),
        RIG + PROBE,
    ],
)
def test_a_rig_with_nothing_to_focus_with_need_not_be_opened_to_tell(file: str) -> None:
    plan = Run(world(), "tile").plan
    (problem,) = focus_problems(plan, RigSettings.from_toml(file))
    assert "the rig has no focus stage" in problem
    assert not focus_problems(plan, RigSettings.from_toml(RIG))
