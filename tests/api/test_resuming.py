"""What is known of a run that was cut off: whether it is finished, and whether it waits for somebody."""

import json
import signal
import socket
import statistics
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any
from urllib.request import urlopen

import pytest

from acquisition.instructions import Instructions
from acquisition.journal import Attempt, Journal
from acquisition.plan import Plan, PlanError
from acquisition.readiness import InterlocksStand
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from api import worker_process
from api.scan import Field, Watcher, field_of, is_finished, lacks_its_mosaic, needs_somebody, resume, same_rig, scan
from api.twin import Twin
from api.worker_process import WorkerFailed, WorkerProcess
from benchmarks.guardian import truth
from devices.rig import RigSettings
from devices.settings import ScpiForceSettings
from tests.acquisition import force_bench
from tests.acquisition.test_telling import listening, to_hook

NewRun = Callable[..., Path]


@pytest.fixture
def new_run(tmp_path: Path) -> NewRun:
    """A run of one tile with these events, and the summary of this outcome."""

    def make(*events: tuple[str, str], outcome: str | None = None) -> Path:
        path = tmp_path / "run"
        plan = Plan.model_validate({"region": {"x_um": (1.0, 2.0), "y_um": (1.0, 2.0)}})
        with closing(RunStore.create(path, plan, Field((24, 32), 0.1), {"calibration": {}})) as store:
            for kind, reason in events:
                store.journal.add_event(kind, reason=reason)
        if outcome:
            (path / "report").mkdir()
            (path / "report" / "summary.json").write_text(json.dumps({"outcome": outcome}))
        return path

    return make


@pytest.mark.parametrize(("outcome", "finished"), [("completed", True), ("stopped", False), (None, False)])
def test_a_run_is_finished_when_its_last_mosaic_is_of_all_of_it(
    new_run: NewRun, outcome: str | None, finished: bool
) -> None:
    run = new_run(("run_stopped", ""), ("run_completed", ""), outcome=outcome)
    assert is_finished(run) is finished
    assert not lacks_its_mosaic(run)  # its one tile was given up, and would be taken


def told_and_stopped(tell: Callable[[Instructions], None], plan_file: Path, twin: Twin, run: Path) -> None:
    """Begin a run, tell it something at its second tile, and end it as a service does that is told to end itself."""
    told, acquired = Instructions(), []

    def second(attempt: Attempt) -> None:
        acquired.append(attempt)
        if len(acquired) == 2:
            tell(told)
            told.stop("the service ends")

    outcome, _ = scan(Plan.load(plan_file), RigSettings.load(twin.rig), run, told, Watcher(acquired=second))
    assert outcome is Outcome.STOPPED


@pytest.mark.parametrize(
    ("tell", "reason"),
    [
        (lambda told: told.pause("row", "hands in the rig"), "hands in the rig"),
        (lambda told: told.pause("tile", "interlock tests, says Anna"), "interlock tests, says Anna"),
        (lambda told: (told.hold("room", "interlock room: 30 is above 28"), told.pause("now", "lunch")), "lunch"),
        (lambda told: told.hold("room", "interlock room: 30 is above 28"), None),
        (lambda told: (told.pause("row", "lunch"), told.resume()), None),
        (lambda told: None, None),
    ],
)
def test_a_pause_outlives_the_service_even_one_to_come(
    twin: Twin, plan_file: Path, tmp_path: Path, tell: Callable[[Instructions], None], reason: str | None
) -> None:
    run = tmp_path / "run"
    told_and_stopped(tell, plan_file, twin, run)
    assert needs_somebody(run) == reason


def test_who_resumes_a_run_by_hand_has_let_it_go_on(twin: Twin, plan_file: Path, tmp_path: Path) -> None:
    run, again = tmp_path / "run", Instructions()
    told_and_stopped(lambda told: told.pause("row", "lunch"), plan_file, twin, run)
    outcome, _ = resume(run, RigSettings.load(twin.rig), again, Watcher(acquired=lambda attempt: again.stop("enough")))
    assert outcome is Outcome.STOPPED
    assert needs_somebody(run) is None


def test_a_run_whose_engine_was_gone_before_it_said_so_is_completed(
    twin: Twin, plan_file: Path, tmp_path: Path
) -> None:
    run, settings = tmp_path / "run", RigSettings.load(twin.rig)
    scan(Plan.load(plan_file), settings, run, Instructions(), Watcher())
    with closing(connect(run / "journal.db")) as journal, journal:
        journal.execute("DELETE FROM events WHERE kind = 'run_completed'")
    assert not is_finished(run)
    (run / "report" / "summary.json").unlink()
    assert lacks_its_mosaic(run)
    said: list[Any] = []
    told = Watcher(started=lambda *tiles: said.append(tiles), state=said.append)
    outcome, summary = resume(run, settings, Instructions(), told)
    assert (outcome, summary["outcome"], summary["resumed"]) == (Outcome.COMPLETED, "completed", 1)
    assert said == [(9, 9), State.FINISHING]  # only its mosaic was left to be made
    assert is_finished(run)


def test_a_mosaic_that_fails_is_told_and_made_by_resuming(
    twin: Twin, plan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rig = tmp_path / "run", RigSettings.load(twin.rig)
    monkeypatch.setattr(worker_process, "AGAIN_S", (0.01, 0.01))
    monkeypatch.setattr(worker_process, "module_command", lambda *words: [sys.executable, "-c", "raise SystemExit(9)"])
    with listening() as hook:
        settings = rig.model_copy(update={"tell": to_hook(hook)})
        with pytest.raises(WorkerFailed, match="code 9"):
            scan(Plan.load(plan_file), settings, run, Instructions(), Watcher())
        assert set(hook.classes()) >= {"completed", "failed"}
        assert any("the mosaic could not be made" in message["text"] for message in hook.posted)
    assert not is_finished(run)
    assert "The mosaic could not be made" in (run / "report" / "report.html").read_text()
    monkeypatch.undo()
    outcome, summary = resume(run, rig, Instructions(), Watcher())
    assert (outcome, summary["outcome"]) == (Outcome.COMPLETED, "completed")
    assert is_finished(run)


def place_um(twin: Twin) -> Any:
    """Where the scanner truly is; it trembles by some nanometres."""
    with urlopen(f"{twin.world.url}/truth", timeout=10) as answer:
        return json.load(answer)["scanner_um"]


@pytest.fixture
def cut_off(twin: Twin, plan_file: Path, tmp_path: Path) -> Path:
    """A run on the twin that was stopped after its second tile."""
    told, acquired = Instructions(), []

    def stop_after_two(attempt: Attempt) -> None:
        acquired.append(attempt)
        if len(acquired) == 2:
            told.stop("enough")

    run = tmp_path / "run"
    outcome, _ = scan(Plan.load(plan_file), RigSettings.load(twin.rig), run, told, Watcher(acquired=stop_after_two))
    assert outcome is Outcome.STOPPED
    return run


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda rig, signal: rig.replace("x = [0.0, 100.0]", "x = [0.0, 12.0]"),
            r"tile \d+ lies at .* outside the travel x 0\.\.12",
        ),
        (
            lambda rig, signal: (
                rig + f'[[interlocks]]\nname = "room"\nabove = 28\nfor_s = 60\naction = "abort"\n'
                f'signal = {{ kind = "file", path = "{signal}" }}\n'
            ),
            "interlock room: 99 is above 28",
        ),
    ],
)
def test_a_run_goes_on_only_where_the_rest_of_it_can_be_taken(
    cut_off: Path, twin: Twin, tmp_path: Path, edit: Callable[[str, Path], str], reason: str
) -> None:
    """Limits that became narrower, and an interlock that has not been broken for long enough to end a run."""
    hot, rig = tmp_path / "room.txt", tmp_path / "rig.toml"
    hot.write_text("99")
    rig.write_text(edit(twin.rig.read_text(), hot))
    exposures, before_um = twin.world.exposures(), place_um(twin)
    with pytest.raises(PlanError, match=reason):
        resume(cut_off, RigSettings.load(rig), Instructions(), Watcher())
    assert twin.world.exposures() == exposures
    assert place_um(twin) == pytest.approx(before_um, abs=0.01)
    outcome, _ = resume(cut_off, RigSettings.load(twin.rig), Instructions(), Watcher())
    assert outcome is Outcome.COMPLETED


@pytest.mark.parametrize("come_back_s", [0.0, 60.0])
def test_a_run_waits_for_a_rig_that_is_away_and_fails_not(
    twin: Twin, plan_file: Path, tmp_path: Path, come_back_s: float
) -> None:
    run, settings = tmp_path / "run", RigSettings.load(twin.rig)
    plan_file.write_text(plan_file.read_text() + f"[on_failure]\ncome_back_s = {come_back_s}\n")
    told_and_stopped(lambda told: None, plan_file, twin, run)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    scanner = settings.devices.scanner.model_copy(update={"port": port})
    dark = settings.model_copy(update={"devices": settings.devices.model_copy(update={"scanner": scanner})})
    for _ in range(2):
        with pytest.raises(InterlocksStand, match="the rig is away"):
            resume(run, dark, Instructions(), Watcher(), waits_for_rig=True)
    assert (needs_somebody(run) is not None) is (come_back_s == 0)  # nobody, and nothing, lets it go on by itself then
    with closing(RunStore(run)) as store:
        assert not store.journal.events(kind="run_failed")
    outcome, _ = resume(run, settings, Instructions(), Watcher(), waits_for_rig=True)
    assert outcome is Outcome.COMPLETED


def test_a_worker_that_hangs_is_ended_and_started_again(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker_process, "SILENCE_S", 0.5)
    hung = tmp_path / "hung"
    script = (
        f"import json, os, pathlib, signal; hung = pathlib.Path({str(hung)!r})\n"
        "if hung.exists(): print(json.dumps({'summary': {'tiles': 1}}), flush=True)\n"
        "else: hung.touch(); os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with closing(Journal(new_run() / "journal.db")) as journal:
        worker = WorkerProcess(tmp_path, [], journal, lambda said: None)
        monkeypatch.setattr(worker, "_command", [sys.executable, "-c", script])
        worker.no_frame_will_follow()
        with worker:
            assert worker.summary() == {"tiles": 1}
        (died,) = [event for event in journal.events() if event.kind == "worker_died"]
    assert died.data["code"] == -signal.SIGKILL


def test_what_a_worker_warns_of_stands_in_the_journal(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = 'print(\'{"warning": "cuda has too little memory"}\'); print(\'{"summary": {}}\')'
    with closing(Journal(new_run() / "journal.db")) as journal:
        worker = WorkerProcess(tmp_path, [], journal, lambda said: None)
        monkeypatch.setattr(worker, "_command", [sys.executable, "-c", script])
        with worker:
            assert worker.summary() == {}
        (warned,) = [event for event in journal.events() if event.kind == "worker_warned"]
    assert warned.data["reason"] == "cuda has too little memory"


def recalibrated(text: str) -> RigSettings:
    """The rig at another address, with a force scale and a trust of its own."""
    text = text.replace("socket://127.0.0.1:2", "socket://127.0.0.1:3").replace("= 50.0", "= 55.0")
    return RigSettings.from_toml(f"{text}offset_v = 0.25\nsaturation_v = 9.5\n")


def test_a_run_goes_on_with_the_force_scale_that_it_began_with() -> None:
    own, given = RigSettings.from_toml(force_bench.RIG), recalibrated(force_bench.RIG)
    settings, differences = same_rig(own, given)
    force = settings.devices.force
    assert isinstance(force, ScpiForceSettings)
    assert (force.stiffness_n_per_m, force.sensitivity_nm_per_v, force.offset_v) == (42.0, 50.0, 0.0)
    assert (force.url, force.saturation_v) == ("socket://127.0.0.1:3", 9.5)
    assert differences == [
        "devices.force.sensitivity_nm_per_v = 55 (run: 50)",
        "devices.force.offset_v = 0.25 (run: 0)",
    ]
    assert same_rig(own, own) == (own, [])
    assert same_rig(own, None) == (own, [])


def test_a_resumed_run_presses_as_hard_as_the_world_says_it_promised(twin: Twin, tmp_path: Path) -> None:
    own = RigSettings.load(twin.rig)
    assert own.devices.force is not None
    run = tmp_path / "run"
    region = {"x_um": (10.0, 12.0), "y_um": (10.0, 12.0)}
    plan = Plan.model_validate({"region": region, "force": {"policy": "contact"}, "tiles": {"dwell_s": 1.0}})
    field = field_of(plan, own)
    RunStore.create(run, plan, field, own.model_dump(mode="json")).close()
    force = own.devices.force.model_copy(update={"sensitivity_nm_per_v": 25.0})
    given = own.model_copy(update={"devices": own.devices.model_copy(update={"force": force})})
    warned: list[str] = []
    pressed_nn: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            pressed_nn.append(truth(twin)["force_nn"])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        resume(run, given, Instructions(), Watcher(warned=warned.append))
    finally:
        over.set()
        looking.join()
    # a dwell of a second at the set-point; taken for 25 nm/V it would be 1000 nN
    assert statistics.median([force_nn for force_nn in pressed_nn if force_nn > 250.0]) == pytest.approx(
        500.0, abs=50.0
    )
    (warning,) = warned
    assert "devices.force.sensitivity_nm_per_v = 25 (run: 50)" in warning
    with closing(RunStore(run)) as store:
        assert warning in [event.data.get("reason") for event in store.journal.events()]
