"""A device that is without power for a while: the run tries again by itself, and needs nobody unless it stays away."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from acquisition import engine, failures
from acquisition.instructions import Instructions
from acquisition.progress import waits_for_of
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout
from tests.acquisition.test_instructions import Running

NewStore = Callable[..., RunStore]
LONG_S = 3600.0


class Power:
    """Fails whoever asks, so many times, from the third exposure on."""

    def __init__(self, rig: Any, error: DeviceError, times: int) -> None:
        self._rig, self._error, self.left = rig, error, times
        rig.camera.before_snap = self.ask

    def ask(self) -> None:
        if self.left and self._rig.camera.snaps == 2:
            self.left -= 1
            raise self._error


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(failures, "FIRST_COME_BACK_S", 0.01)


@pytest.mark.parametrize("attended", [True, False])
def test_a_dip_that_outlasts_the_retries_needs_nobody(new_store: NewStore, rig: Any, attended: bool) -> None:
    power = Power(rig, DeviceLost("camera", "no power"), 10)
    store = new_store(on_failure={"lost": "retry:2 then pause"})
    assert engine.run(store, rig, Instructions(attended)) is Outcome.COMPLETED
    assert power.left == 0
    events = [event for event in store.journal.events() if event.kind != "backed_off"]
    kinds = [event.kind for event in events]
    assert kinds == [
        "run_started", "paused", "trying_again", "still_paused", "trying_again", "still_paused", "trying_again",
        "continued", "run_completed",
    ]  # fmt: skip
    assert str(events[1].data["reason"]).startswith("camera: no power; tries again by itself in ")
    assert waits_for_of(events[:2]) == waits_for_of(events[:4]) == "a device to come back"
    assert waits_for_of(events[:3]) is None


def test_the_wait_doubles_up_to_a_bound(new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s: list[float] = []
    monkeypatch.setattr(Instructions, "pause_for", lambda told, wait_s, reason: waits_s.append(wait_s))
    monkeypatch.setattr(failures, "FIRST_COME_BACK_S", 60.0)
    counts = failures.Failures(new_store().plan.on_failure, Instructions())
    for _ in range(6):
        counts.pause(DeviceTimeout("camera", "no answer"))
        counts.start_over(by_itself=True)
    assert waits_s == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]


def test_one_that_stays_away_needs_somebody_in_the_end(new_store: NewStore, rig: Any) -> None:
    power, told = Power(rig, DeviceLost("camera", "no power"), 10_000), Instructions()
    running = Running(new_store(on_failure={"lost": "pause", "come_back_s": 0.1}), rig, told)
    while told.needs_somebody is None:
        time.sleep(0.005)
    power.left = 0
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    paused = [event.data["reason"] for event in running.store.journal.events() if event.kind == "paused"]
    assert (len(paused), paused[-1]) == (2, "camera: no power")


def test_one_that_stays_away_ends_a_run_that_nobody_watches(new_store: NewStore, rig: Any) -> None:
    Power(rig, DeviceLost("camera", "no power"), 10_000)
    with pytest.raises(DeviceLost, match="no power"):
        engine.run(new_store(on_failure={"lost": "pause", "come_back_s": 0.1}), rig, Instructions(attended=False))


def test_a_device_that_answers_and_refuses_needs_somebody(new_store: NewStore, rig: Any) -> None:
    Power(rig, DeviceRejected("camera", "too hot"), 1)
    told = Instructions()
    running = Running(new_store(on_failure={"rejected": "pause"}), rig, told)
    running.wait_for(State.PAUSED)
    assert told.needs_somebody == "camera: too hot"
    told.resume()
    assert running.outcome() is Outcome.COMPLETED


def test_somebody_may_go_on_at_once(new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_COME_BACK_S", LONG_S)
    Power(rig, DeviceLost("camera", "no power"), 1)
    told = Instructions()
    running = Running(new_store(on_failure={"lost": "pause"}), rig, told)
    running.wait_for(State.PAUSED)
    assert told.needs_somebody is None
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    assert running.events().count("continued") == 1


def test_a_pause_by_a_person_outlasts_one_for_a_time() -> None:
    told = Instructions()
    told.pause_for(0.0, "camera: no power")
    told.pause("now", "hands in the rig")
    assert not told.wait_while_paused(0.01)
    assert told.needs_somebody == "hands in the rig"
    told.pause_for(0.0, "camera: no power")
    assert not told.wait_while_paused(0.01)
    told.resume()
    assert told.wait_while_paused(0.01)
