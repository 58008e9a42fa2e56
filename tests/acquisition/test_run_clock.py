"""A machine whose clock is set while a run goes on: said once, and no duration is wrong for it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from acquisition.clock_check import Clocks
from acquisition.engine import run
from acquisition.instructions import Instructions
from acquisition.run_clock import RunClock
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.summary import run_facts
from acquisition.timeline import epoch_s

NewStore = Callable[..., RunStore]
DAY_S = 86_400.0


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def test_says_once_how_far_the_clock_was_set() -> None:
    wall = Wall()
    clock = RunClock(Clocks(wall=wall))
    assert clock.jump_s() is None
    wall.ahead_s = -7200.0
    assert clock.jump_s() == pytest.approx(-7200.0, abs=0.5)
    assert clock.jump_s() is None
    wall.ahead_s = 0.0
    assert clock.jump_s() == pytest.approx(7200.0, abs=0.5)


def test_the_times_of_a_run_go_on_as_they_began() -> None:
    wall = Wall()
    clock = RunClock(Clocks(wall=wall))
    began_s = epoch_s(clock.now())
    assert began_s == pytest.approx(time.time(), abs=0.5)
    wall.ahead_s = DAY_S
    assert 0.0 <= epoch_s(clock.now()) - began_s < 0.5


@pytest.mark.parametrize("ahead_s", [DAY_S, -7200.0])
def test_a_clock_that_jumps_during_a_run_is_told_once_and_changes_no_duration(
    new_store: NewStore, rig: Any, ahead_s: float
) -> None:
    store, wall = new_store(), Wall()
    store.journal.clock = RunClock(Clocks(wall=wall))

    def set_clock() -> None:
        if rig.camera.snaps == 2:
            wall.ahead_s = ahead_s

    rig.camera.before_snap = set_clock
    began_s = time.monotonic()
    assert run(store, rig, Instructions(attended=False)) is Outcome.COMPLETED
    took_s = time.monotonic() - began_s
    (jump,) = store.journal.events(kind="clock_jumped")
    assert jump.data["by_s"] == pytest.approx(ahead_s, abs=0.5)
    assert f"jumped by {ahead_s:+.0f}" in str(jump.data["reason"])
    spent: Any = run_facts(store)["time"]
    assert 0.0 < spent["total_s"] <= took_s
    starts_s = [epoch_s(attempt.started_at) for _, attempt in store.journal.attempts()]
    assert starts_s == sorted(starts_s)
    assert starts_s[-1] - starts_s[0] < took_s
