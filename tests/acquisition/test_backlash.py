"""Play of the stage: each tile is taken at its place, whatever came in between, and the journal tells where it was."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from acquisition.engine import Watcher, run
from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.places import Places
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from devices.errors import DeviceTimeout
from hardware_sim.settings import NAMED, WorldSettings
from tests.acquisition.world_rig import WorldRig, grain

PIXEL_UM = 0.02
PLAY_PX = 6.0
OFF_PX = 0.1
"""Of a stage that trembles by 0.5 nm, and has settled within 5 nm."""
SPECIMEN = grain(40.0, PIXEL_UM)
TILES = 9
PLAN = Plan.model_validate(
    {
        "region": {"x_um": (15.0, 21.5), "y_um": (15.0, 21.5)},
        "quality": {"policy": "none"},
        "on_failure": {"timeout": "skip"},
    }
)


def world() -> WorldRig:
    """`still`, on a stage that lands where it should but for its play, which the rig file knows."""
    still = NAMED["still"].model_dump()
    still["camera"] |= {"frame_shape_px": (128, 128)}
    still["mechanics"] |= {
        "backlash_px": PLAY_PX,
        "position_error_px_rms": 0.0,
        "hysteresis_nm": 0.0,
        "linearity_error": 0.0,
    }
    stage = WorldRig(WorldSettings.model_validate(still), SPECIMEN, seed=3)
    play_um = PLAY_PX * PIXEL_UM
    toml = stage.rig.settings.model_dump(mode="json")
    toml["calibration"] |= {"backlash_um": {"x": play_um, "y": play_um}, "pixel_size_um": PIXEL_UM}
    stage.rig.settings = type(stage.rig.settings).model_validate(toml)
    return stage


def new_store(stage: WorldRig, folder: Path, plan: Plan = PLAN) -> RunStore:
    rig = stage.rig.settings.model_dump(mode="json")
    store = RunStore.create(folder / "run", plan, Field((128, 128), PIXEL_UM), rig)
    assert len(store.tiles()) == TILES
    return store


def see_all_at_their_places(stage: WorldRig, store: RunStore) -> None:
    """Hold each tile, and what the journal says of it, against where the world says that it was taken."""
    true = {exposure.number: exposure for exposure in stage.world.exposures_after(0)}
    places, seen = Places.of_run(store.plan, store.rig), 0
    for _, attempt in store.journal.attempts():
        place = places.of(attempt)
        if attempt.frame is None or attempt.camera_frame is None or place is None:
            continue
        was = np.array([true[attempt.camera_frame].x_um, true[attempt.camera_frame].y_um])
        missed_px = (was - (attempt.target_x_um, attempt.target_y_um)) / PIXEL_UM
        told_px = (np.array([place.x_um, place.y_um]) - was) / PIXEL_UM
        assert np.abs(missed_px).max() < OFF_PX, f"tile {attempt.tile} is {missed_px} px beside its place"
        assert np.abs(told_px).max() < OFF_PX, f"tile {attempt.tile} is told to be {told_px} px from where it is"
        seen += 1
    assert seen == TILES


def after(tile: int, act: Callable[[], None]) -> Callable[[Attempt], None]:
    return lambda attempt: act() if attempt.tile == tile and attempt.attempt == 1 else None


@pytest.mark.parametrize("tile", range(TILES - 2))
def test_tiles_after_a_pause_are_at_their_places(tmp_path: Path, tile: int) -> None:
    stage, told = world(), Instructions()
    store = new_store(stage, tmp_path)
    paused: list[State] = []

    def go_on(state: State) -> None:
        if state is State.PAUSED:
            paused.append(state)
            told.resume()

    assert run(store, stage.rig, told, Watcher(after(tile, told.pause), go_on)) is Outcome.COMPLETED
    assert paused
    see_all_at_their_places(stage, store)


@pytest.mark.parametrize("tile", range(TILES - 2))
def test_tiles_of_a_run_that_is_resumed_are_at_their_places(tmp_path: Path, tile: int) -> None:
    stage, told = world(), Instructions()
    store = new_store(stage, tmp_path)
    assert run(store, stage.rig, told, Watcher(after(tile, told.stop))) is Outcome.STOPPED
    store.close()
    again = RunStore.reopen(tmp_path / "run")
    assert run(again, stage.rig, Instructions()) is Outcome.COMPLETED
    see_all_at_their_places(stage, again)


@pytest.mark.parametrize("fails", range(2, TILES + 2))
def test_a_stage_that_was_left_on_its_way_comes_to_the_next_tile_all_the_same(tmp_path: Path, fails: int) -> None:
    stage = world()
    store = new_store(stage, tmp_path)
    start_move, started = stage.scanner.start_move, 0

    def go_half_way(targets_um: Mapping[str, float]) -> None:
        nonlocal started
        started += 1
        if started != fails:
            start_move(targets_um)
            return
        here_um = stage.scanner.read_position_um()
        start_move({axis: (here_um[axis] + target_um) / 2 for axis, target_um in targets_um.items()})
        raise DeviceTimeout("scanner", "still moving")

    stage.scanner.start_move = go_half_way  # type: ignore[method-assign]
    assert run(store, stage.rig, Instructions()) is Outcome.COMPLETED
    see_all_at_their_places(stage, store)


def test_an_older_journal_without_the_side_is_read_as_before(tmp_path: Path) -> None:
    stage = world()
    store = new_store(stage, tmp_path)
    run(store, stage.rig, Instructions())
    store.journal._db.execute("ALTER TABLE tiles DROP COLUMN from_above")
    store.close()
    see_all_at_their_places(stage, RunStore(tmp_path / "run"))
