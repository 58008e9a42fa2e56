"""What no tile can go without: each step is tried again by itself, and then the run pauses or ends as its plan says."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acquisition import engine, failures
from acquisition.failures import Failures
from acquisition.field import Field
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.keeping import Keeping
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout
from hardware_sim.settings import NAMED, WorldSettings
from tests.acquisition.test_instructions import Running
from tests.acquisition.world_rig import WorldRig, grain

NewStore = Callable[..., RunStore]
EVERY = 5
"""So many exposures, and moves of the stage, and one of them fails: no search and no visit of an anchor is spared."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_S", 0.001)


class Line:
    """A line of a device, dead until somebody mends it."""

    def __init__(self, error: DeviceError) -> None:
        self._error = error
        self.dead = True

    def ask(self) -> None:
        if self.dead:
            raise self._error


@pytest.mark.parametrize("policy", ["retry:2 then pause", "pause", "retry:1 then skip", "skip"])
def test_a_preparation_that_keeps_failing_pauses_where_somebody_can_answer(
    new_store: NewStore, rig: Any, policy: str
) -> None:
    line = Line(DeviceLost("scanner", "the connection is gone"))
    rig.scanner.before_move = line.ask
    told = Instructions()
    running = Running(new_store(on_failure={"lost": policy, "come_back_s": 0}), rig, told)
    running.wait_for(State.PAUSED)
    assert told.needs_somebody == "scanner: the connection is gone"
    told.resume()  # too early
    running.wait_for(State.PAUSED, 2)
    line.dead = False
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    paused = [event.data["reason"] for event in running.store.journal.events() if event.kind == "paused"]
    assert paused == ["scanner: the connection is gone"] * 2
    assert [attempt.verdict for attempt in running.attempts()] == ["ok"] * 6


def test_after_a_pause_a_dead_line_pauses_the_run_again(new_store: NewStore, rig: Any) -> None:
    line, told = Line(DeviceLost("scanner", "no power")), Instructions()
    line.dead = False
    rig.scanner.before_move = line.ask
    rig.camera.before_snap = lambda: told.pause("now") if rig.camera.snaps == 2 and not line.dead else None
    running = Running(new_store(on_failure={"come_back_s": 0}), rig, told)
    running.wait_for(State.PAUSED)
    line.dead = True
    told.resume()
    running.wait_for(State.PAUSED, 2)
    assert told.needs_somebody == "scanner: no power"
    line.dead, rig.camera.before_snap = False, lambda: None
    told.resume()
    assert running.outcome() is Outcome.COMPLETED


def test_a_rig_that_cannot_be_taken_in_hand_pauses_the_run(
    new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, told = Line(DeviceTimeout("focus", "no answer")), Instructions()

    def take_in_hand(*args: Any) -> Keeping:
        line.ask()
        return Keeping(*args)

    monkeypatch.setattr(engine, "Keeping", take_in_hand)
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    line.dead = False
    told.resume()
    assert running.outcome() is Outcome.COMPLETED


@pytest.mark.parametrize("policy", ["abort", "retry:1", "retry:1 then abort"])
def test_a_preparation_that_is_to_abort_ends_the_run(new_store: NewStore, rig: Any, policy: str) -> None:
    rig.scanner.before_move = Line(DeviceLost("scanner", "the connection is gone")).ask
    with pytest.raises(DeviceLost):
        engine.run(new_store(on_failure={"lost": policy}), rig, Instructions())


def test_each_landing_and_each_height_of_a_search_is_tried_again_by_itself(tmp_path: Path) -> None:
    lab = NAMED["lab"].model_dump()
    lab["camera"] |= {"frame_shape_px": (128, 128)}
    stage = WorldRig(WorldSettings.model_validate(lab), grain(100.0, 0.05))
    calls = {"snap": 0, "move": 0}

    def failing(act: Callable[[], Any], what: str) -> Any:
        calls[what] += 1
        if calls[what] % EVERY == 0:
            raise DeviceTimeout(what, "no answer")
        return act()

    snap, move = stage.camera.snap, stage.focus.move_to
    stage.camera.snap = lambda: failing(snap, "snap")  # type: ignore[method-assign]
    stage.focus.move_to = lambda to: failing(lambda: move(to), "move")  # type: ignore[method-assign]
    region, policies = {"x_um": (15.0, 27.0), "y_um": (15.0, 27.0)}, {"timeout": "retry:3 then skip"}
    focus, drift = {"policy": "map", "map_points": 4}, {"policy": "anchor"}
    plan = Plan.model_validate({"region": region, "focus": focus, "drift": drift, "on_failure": policies})
    file, told = stage.rig.settings.model_dump(mode="json"), Instructions(attended=False)
    with closing(RunStore.create(tmp_path / "run", plan, Field((128, 128), 0.05), file)) as store:
        overcome = Failures(plan.on_failure, told).overcome
        keeping = Keeping(store, stage.rig, told, store.journal.note, Heartbeat.unshared(), overcome)
        keeping.prepare(store.tiles()[0])
        assert {event.kind for event in store.journal.events()} == {"focus_found", "focus_measured", "drift_measured"}
    assert calls["snap"] > 10 * EVERY
    assert abs(stage.defocus_um()) < 0.6  # as near as the drive lands


def test_a_motor_that_a_fault_has_switched_off_is_switched_on_again_for_the_next_try(tmp_path: Path) -> None:
    stage = WorldRig(NAMED["still"], grain(100.0, 0.05))
    move, drive = stage.focus.move_to, stage.world.focus

    def move_to(targets_um: Any) -> None:
        if not drive.motor_on:
            raise DeviceRejected("focus", "motor off")
        if len(stage.focus.moves) == 4:
            stage.focus.moves.append(targets_um["z"])
            drive.switch_motor(False)
            raise DeviceRejected("focus", "following error")
        move(targets_um)

    stage.focus.move_to = move_to  # type: ignore[method-assign]
    stage.focus.switch_on_again = lambda: drive.switch_motor(True)  # type: ignore[attr-defined]
    region = {"x_um": (15.0, 19.0), "y_um": (15.0, 19.0)}
    plan = Plan.model_validate({"region": region, "focus": {"policy": "map", "map_points": 3}})
    file, told = stage.rig.settings.model_dump(mode="json"), Instructions(attended=False)
    with closing(RunStore.create(tmp_path / "run", plan, Field((512, 512), 0.02), file)) as store:
        overcome = Failures(plan.on_failure, told).overcome
        keeping = Keeping(store, stage.rig, told, store.journal.note, Heartbeat.unshared(), overcome)
        keeping.prepare(store.tiles()[0])
    assert len(stage.focus.moves) > 5
    assert drive.motor_on
