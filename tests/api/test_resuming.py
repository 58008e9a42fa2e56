"""What is known of a run that was cut off: whether it is finished, and whether somebody had paused it."""

import json
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from acquisition.instructions import Instructions
from acquisition.journal import Attempt, Journal
from acquisition.plan import Plan, PlanError
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from api import worker_process
from api.scan import Field, Watcher, is_finished, resume, scan, was_paused
from api.twin import Twin
from api.worker_process import WorkerProcess
from devices.rig import RigSettings

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


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([("paused", "hands in the rig")], "hands in the rig"),
        ([("paused", "hands in the rig"), ("run_stopped", "SIGTERM")], "hands in the rig"),
        ([("paused", "lunch"), ("continued", "")], None),
        ([("paused", "lunch"), ("continued", ""), ("run_stopped", "SIGTERM")], None),
        ([("paused", "interlock laser: off is not ok")], None),
        ([], None),
    ],
)
def test_a_pause_outlives_the_service(new_run: NewRun, events: list[tuple[str, str]], reason: str | None) -> None:
    assert was_paused(new_run(*events)) == reason


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
