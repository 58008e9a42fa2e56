"""The guardian by itself: when it retracts, what it keeps down, what it tells; `tests/api` has it as a process."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from acquisition.guardian import (
    HOLD_S,
    LATE_LOOKS,
    SILENCE_ENGAGED_S,
    SILENCE_S,
    Guardian,
    Probe,
    gentle,
    report,
    watch,
)
from acquisition.heartbeat import Heartbeat
from acquisition.journal import Journal
from devices.errors import DeviceLost
from devices.settings import Esp301Settings, PiGcsSettings


class Scanner:
    """Goes where it is sent at once, unless it is told to fail."""

    name = "guardian"
    limits_um: Mapping[str, tuple[float, float]] = {"z": (0.0, 10.0)}

    def __init__(self) -> None:
        self.z_um = 8.0
        self.calls: list[str] = []
        self.failures = 0

    def read_position_um(self) -> dict[str, float]:
        self.calls.append("read")
        return {"z": self.z_um}

    def stop(self) -> None:
        self.calls.append("stop")

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        self.calls.append("move")
        if self.failures:
            self.failures -= 1
            raise DeviceLost("guardian", "gone")
        self.z_um = targets_um["z"]


class Bench:
    """A guardian with everything around it, and a clock that is told the time."""

    def __init__(self) -> None:
        self.heart = Heartbeat.unshared()
        self.scanner = Scanner()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.calls = 0
        self.guardian = Guardian(self.heart, Probe(self.scanner), self._tell, self._call)  # type: ignore[arg-type]

    def _tell(self, kind: str, **data: Any) -> None:
        self.told.append((kind, data))

    def _call(self) -> None:
        self.calls += 1

    def look_for(self, seconds: float) -> None:
        """Look every 10 ms, from the last beat on."""
        began_s = due_s(self.heart)
        for look in range(round(seconds / 0.01) + 1):
            self.guardian.look(began_s + 0.01 * look, gone=False)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


def due_s(heart: Heartbeat) -> float:
    """Until when the heart may be silent: found from how silent it will be long after."""
    far_s = 1e9
    return far_s - heart.silence_s(far_s)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("engaged", "allowed_s"), [(True, SILENCE_ENGAGED_S), (False, SILENCE_S)])
def test_retracts_a_service_that_is_silent_for_longer_than_allowed(
    bench: Bench, engaged: bool, allowed_s: float
) -> None:
    bench.heart.engaged = engaged
    bench.heart.force.beat()
    bench.look_for(allowed_s)
    assert "move" not in bench.scanner.calls
    bench.look_for(allowed_s + 0.01 * (LATE_LOOKS + 1))
    assert bench.scanner.z_um == 0.0
    assert bench.heart.retracted
    assert bench.kinds == ["guardian_retracted"]


def test_one_part_that_still_beats_does_not_hide_another_that_is_silent(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.engine.beat()
    bench.heart.force.beat(longer_s=60.0)
    bench.look_for(0.5)
    assert bench.kinds == ["guardian_retracted"]


def test_allows_a_step_as_long_as_it_was_announced(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.engine.beat(longer_s=10.0)
    due = due_s(bench.heart)
    for look in range(50):
        bench.guardian.look(due - 5.0 + 0.01 * look, gone=False)
    assert bench.told == []


def test_expects_nothing_of_a_pulse_at_rest(bench: Bench) -> None:
    bench.heart.engine.beat()
    bench.heart.rest()
    for look in range(100):
        bench.guardian.look(1e9 + look, gone=False)
    assert "move" not in bench.scanner.calls


def test_a_machine_that_stood_still_gives_the_service_a_moment_to_wake_up(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.guardian.look(due_s(bench.heart) + 30.0, gone=False)
    bench.heart.force.beat()
    bench.look_for(0.1)
    assert bench.told == []


def test_stops_before_it_retracts_and_tells_once(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.look_for(2.0)
    assert bench.scanner.calls.index("stop") < bench.scanner.calls.index("move")
    assert bench.kinds == ["guardian_retracted"]
    assert bench.told[0][1]["retracted"] is True
    assert bench.told[0][1]["engaged"] is True


def test_tries_again_until_the_probe_is_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acquisition.guardian.AGAIN_S", 0.01)
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.scanner.failures = 3
    bench.look_for(0.5)
    assert bench.scanner.z_um == 0.0
    assert bench.kinds == ["guardian_retracted"]


def test_tells_early_that_it_cannot_retract(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AGAIN_S": 0.01, "TELL_S": 0.02, "GIVE_UP_S": 0.2}.items():
        monkeypatch.setattr(f"acquisition.guardian.{name}", value)
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.scanner.failures = 10**6
    bench.look_for(0.3)
    kind, data = bench.told[0]
    assert (kind, data["retracted"]) == ("guardian_retracted", False)
    assert "gone" in data["trouble"]
    assert len(bench.told) == 1


def test_keeps_the_probe_down_until_the_service_has_taken_note(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.look_for(0.5)
    bench.scanner.z_um = 8.0  # a command that the service had sent before it stood still
    bench.heart.force.beat()
    bench.look_for(0.0)
    assert bench.scanner.z_um == 0.0
    bench.heart.take_note()
    bench.scanner.z_um = 8.0
    bench.heart.force.beat()
    bench.look_for(0.1)
    assert bench.scanner.z_um == 8.0
    assert bench.kinds == ["guardian_retracted", "guardian_released"]


def test_leaves_the_stage_to_others_long_after_the_service(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.look_for(0.5)
    bench.scanner.z_um = 8.0  # by hand
    bench.guardian.look(due_s(bench.heart) + HOLD_S + 1.0, gone=False)
    assert bench.scanner.z_um == 8.0


def test_asks_now_and_then_and_no_more_while_all_is_well(bench: Bench) -> None:
    bench.heart.engine.beat(longer_s=1e6)
    for look in range(1000):
        bench.guardian.look(1000.0 + 0.01 * look, gone=False)
    assert bench.scanner.calls.count("read") == pytest.approx(10, abs=1)  # once a second for 10 s
    assert set(bench.scanner.calls) == {"read"}


@pytest.mark.parametrize(("engaged", "down"), [(True, True), (False, False)])
def test_retracts_after_the_service_only_if_something_was_left_to_it(bench: Bench, engaged: bool, down: bool) -> None:
    bench.heart.engine.beat()
    bench.heart.engaged = engaged
    bench.heart.rest()
    called: list[bool] = []
    probe = Probe(bench.scanner)  # type: ignore[arg-type]
    watch(bench.heart, probe, lambda kind, **data: None, lambda: called.append(True), ended=lambda wait_s: True)
    assert (bench.scanner.z_um == 0.0) is down
    assert called == [True] * down


def test_has_people_told_once_of_a_service_that_stays_silent(bench: Bench) -> None:
    bench.heart.engaged = True
    bench.heart.force.beat()
    bench.look_for(HOLD_S - 1.0)
    assert (bench.kinds, bench.calls) == (["guardian_retracted"], 0)  # it may wake up, and tell by itself
    bench.look_for(HOLD_S + 1.0)
    assert bench.calls == 1


def test_a_guardian_that_takes_over_keeps_down_what_the_last_one_retracted(bench: Bench) -> None:
    bench.heart.tell_retracted()
    bench.heart.force.beat()
    bench.look_for(0.0)
    assert bench.scanner.z_um == 0.0
    assert bench.told == []


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Heartbeat, Heartbeat]:
    path = tmp_path / "heartbeat"
    return Heartbeat.at(path), Heartbeat.at(path)


def test_both_sides_see_the_same_heart(shared: tuple[Heartbeat, Heartbeat]) -> None:
    service, guardian = shared
    service.engaged = True
    service.force.beat()
    service.journal = Path("/some/where/journal.db")
    assert guardian.engaged
    assert not guardian.force.resting
    assert guardian.journal == Path("/some/where/journal.db")
    guardian.tell_retracted()
    assert service.retracted
    service.take_note()
    assert not guardian.retracted


def test_refuses_a_journal_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer than"):
        Heartbeat.unshared().journal = tmp_path / ("x" * 5000)


def test_connects_without_switching_or_searching_anything() -> None:
    pi = PiGcsSettings(host="127.0.0.1", axes={"x": "1", "z": "3"}, start_up=("servo", "autozero"))
    assert gentle(pi).start_up == ()  # type: ignore[attr-defined]
    esp = Esp301Settings(url="socket://127.0.0.1:1", limits_um=(0.0, 1.0), home_on_connect=True)
    assert not gentle(esp).home_on_connect  # type: ignore[attr-defined]


def test_enters_what_it_did_in_the_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heart = Heartbeat.unshared()
    heart.journal = tmp_path / "journal.db"
    Journal(tmp_path / "journal.db", "create").close()
    report(heart, "guardian_retracted", retracted=True, reason="the service is gone", engaged=True, took_s=0.01)
    journal = Journal(tmp_path / "journal.db")
    (event,) = journal.events()
    journal.close()
    assert (event.kind, event.data["reason"]) == ("guardian_retracted", "the service is gone")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_journal_that_cannot_be_written_leaves_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heart = Heartbeat.unshared()
    heart.journal = tmp_path / "journal.db"
    report(heart, "guardian_retracted", retracted=True, reason="the service is gone", engaged=True, took_s=0.01)
    assert "the service is gone" in (tmp_path / "guardian.log").read_text()
    assert "retracted" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["guardian.log"]
