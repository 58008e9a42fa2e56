"""The guardian as a process: over a service that dies, stands still or ends well, and over its own end."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from acquisition.field import Field
from acquisition.heartbeat import Heartbeat
from acquisition.journal import Journal
from acquisition.plan import Plan
from acquisition.run_folder import JOURNAL
from acquisition.run_store import RunStore
from api.guardian_process import HEARTBEAT_VARIABLE, GuardianFailed, guarded
from api.modules import module_command
from api.twin import Twin
from benchmarks.guardian import DOWN_UM, engaged_service, truth
from devices.rig import OPENING_TRIES, RigSettings, open_rig
from tests.acquisition.test_telling import listening, to_hook

UP_UM = 6.0
"""Off the specimen; where the probe is does not matter to the guardian."""
REFUSED_START = 2 * OPENING_TRIES
"""Errors that keep one start from going well: the query that opens a connection is asked twice."""
SOON_S = 20.0
"""For a machine that is busy with other tests; how soon it really is, is the benchmark's."""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    Journal(path, "create").close()
    return path


def kinds(journal: Path) -> list[str]:
    opened = Journal(journal)
    try:
        return [event.kind for event in opened.events()]
    finally:
        opened.close()


def eventually(condition: Callable[[], Any]) -> bool:
    """Wait until it is so, at most `SOON_S`."""
    deadline_s = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def z_um(twin: Twin) -> float:
    return float(truth(twin)["scanner_um"][2])


def test_retracts_when_the_whole_service_is_killed(twin: Twin, journal: Path) -> None:
    with engaged_service(twin.rig, journal, UP_UM) as service:
        os.killpg(service.process.pid, signal.SIGKILL)
        assert eventually(lambda: z_um(twin) < DOWN_UM)
    assert kinds(journal) == ["guardian_retracted"]


def test_has_people_told_when_the_whole_service_is_killed(twin: Twin, tmp_path: Path) -> None:
    plan = Plan.model_validate({"region": {"x_um": (1.0, 2.0), "y_um": (1.0, 2.0)}})
    with listening() as hook:
        rig = RigSettings.load(twin.rig).model_copy(update={"tell": to_hook(hook)})
        run = tmp_path / "run"
        RunStore.create(run, plan, Field((24, 32), 0.1), rig.model_dump(mode="json")).close()
        with engaged_service(twin.rig, run / JOURNAL, UP_UM) as service:
            os.killpg(service.process.pid, signal.SIGKILL)
            assert eventually(lambda: hook.classes() == ["guardian"])
        assert "guardian retracted the probe" in hook.posted[0]["text"]


def test_retracts_while_the_service_is_stopped_and_lets_go_when_it_is_back(twin: Twin, journal: Path) -> None:
    with engaged_service(twin.rig, journal, UP_UM) as service:
        os.kill(service.process.pid, signal.SIGSTOP)
        assert eventually(lambda: z_um(twin) < DOWN_UM)
        os.kill(service.process.pid, signal.SIGCONT)
        assert [service.hear(), service.hear()] == ["retracted", "engaged"]
        assert eventually(lambda: "guardian_released" in kinds(journal))
        assert z_um(twin) == pytest.approx(UP_UM, abs=0.1)
        service.end()
    assert kinds(journal) == ["guardian_retracted", "guardian_released"]


def test_a_guardian_that_is_killed_is_replaced(twin: Twin, journal: Path) -> None:
    with engaged_service(twin.rig, journal, UP_UM) as service:
        os.kill(service.guardian_pid, signal.SIGKILL)

        def replaced() -> bool:
            service.tell("guardian")
            said = service.hear().removeprefix("guardian ")
            return said not in ("None", str(service.guardian_pid))

        assert eventually(replaced)
        assert z_um(twin) == pytest.approx(UP_UM, abs=0.1)
        service.end()
    assert kinds(journal) == ["guardian_died"]


def test_ends_without_a_word_when_the_service_ends_well(twin: Twin, journal: Path) -> None:
    with engaged_service(twin.rig, journal, UP_UM) as service:
        service.end()
        assert eventually(lambda: not Path(f"/proc/{service.guardian_pid}").exists())
    assert kinds(journal) == []


def test_a_guardian_whose_service_dies_while_it_starts_retracts_and_ends_quietly(twin: Twin, journal: Path) -> None:
    settings = RigSettings.load(twin.rig)
    with open_rig(settings) as rig:
        rig.scanner.move_to({"z": UP_UM})
    path = journal.with_name("heartbeat")
    heart = Heartbeat.at(path)
    heart.journal = journal
    heart.engaged = True
    nobody, answers = os.pipe()
    os.close(nobody)
    try:
        command = module_command("acquisition.guardian", "--heartbeat", str(path))
        with Popen(command, stdin=PIPE, stdout=answers, stderr=PIPE, text=True) as process:
            _, said = process.communicate(f"{settings.devices.scanner.model_dump_json()}\n", SOON_S)
    finally:
        os.close(answers)
    assert process.returncode == 0
    assert said == "nanoraster guardian: the probe is retracted, because the service is gone\n"
    assert z_um(twin) < DOWN_UM


def test_a_guardian_that_the_controller_refuses_at_first_is_started_again(
    twin: Twin, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = {"name": "controller_error", "device": "scanner", "times": REFUSED_START}
    asked = urllib.request.Request(f"{twin.world.url}/faults", json.dumps(refusals).encode())
    urllib.request.urlopen(asked, timeout=SOON_S).close()
    before = injected(twin)
    with guarded(RigSettings.load(twin.rig), journal, lambda *_, **__: None) as heart:
        assert not heart.guardian.resting
    assert injected(twin) - before == REFUSED_START
    assert [record.getMessage() for record in caplog.records] == ["guardian: did not get ready, and is started again"]


def injected(twin: Twin) -> int:
    """How many faults the world has acted out."""
    return len(twin.world.faults())


def test_no_guardian_no_run(twin: Twin, journal: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = RigSettings.load(twin.rig)
    unplugged = settings.devices.scanner.model_copy(update={"port": 1})
    settings = settings.model_copy(update={"devices": settings.devices.model_copy(update={"scanner": unplugged})})
    with pytest.raises(GuardianFailed), guarded(settings, journal, lambda *_, **__: None):
        pass
    assert "no connection" in capfd.readouterr().err


def test_a_rig_without_a_probe_needs_none(twin: Twin, journal: Path) -> None:
    settings = RigSettings.load(twin.rig)
    settings = settings.model_copy(update={"devices": settings.devices.model_copy(update={"force": None})})
    with guarded(settings, journal, lambda *_, **__: None) as heart:
        heart.engine.beat()
        assert heart.guardian.resting


@pytest.fixture
def heartbeat(twin: Twin, tmp_path: Path) -> Iterator[Path]:
    """A guardian that runs on its own."""
    path = tmp_path / "heartbeat"
    command = module_command("acquisition.guardian", "--rig", str(twin.rig), "--heartbeat", str(path))
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield path
        process.terminate()
        assert process.wait(SOON_S) == 0


def test_a_guardian_of_its_own_watches_one_run_after_the_other(
    twin: Twin, journal: Path, heartbeat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT_VARIABLE, str(heartbeat))
    settings = RigSettings.load(twin.rig)
    with guarded(settings, journal, lambda *_, **__: None) as heart:
        heart.engaged = True
        heart.force.beat()
        assert eventually(lambda: heart.retracted)
    assert eventually(lambda: kinds(journal) == ["guardian_retracted"])
    with guarded(settings, journal, lambda *_, **__: None) as heart:
        assert not heart.retracted
        assert eventually(lambda: kinds(journal) == ["guardian_retracted", "guardian_released"])


def test_misses_a_guardian_of_its_own_that_does_not_run(
    twin: Twin, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT_VARIABLE, str(tmp_path / "heartbeat"))
    with pytest.raises(GuardianFailed), guarded(RigSettings.load(twin.rig), journal, lambda *_, **__: None):
        pass
