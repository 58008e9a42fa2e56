"""How a job was told to end or to wait holds, though the service dies a moment after it said so."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from acquisition.job import JobState
from acquisition.readiness import InterlocksStand
from acquisition.states import Outcome, State
from api.app import create_app
from api.job_turn import RigWork
from api.service import Service
from api.wishes import Wish, Wishes
from tests.api.service_bench import SOON_S, eventually, plan
from tests.api.test_service import TILES, Bench

AfterPowerCut = Callable[[], Bench]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("api.service.POLL_S", 0.01)
    return Bench(tmp_path)


@pytest.fixture
def after_power_cut(bench: Bench, tmp_path: Path) -> AfterPowerCut:
    """What another service finds if the power fails now: a copy of all that is on the disk."""

    def cut() -> Bench:
        folder = tmp_path / "after"
        folder.mkdir()
        shutil.copytree(bench.folder.path, folder / "data", copy_function=still_there)
        return Bench(folder)

    return cut


def still_there(source: str, to: str) -> str:
    """Copy a file, unless it goes at this moment."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, to)
    return to


def stopped_while_finishing(service: Service, job_id: int) -> None:
    """Stop everything while the mosaic of a job is made, and wait until the queue knows."""
    eventually(lambda: service.status()["state"] is State.FINISHING)
    service.stop("a door")
    service.write_down_stop()
    eventually(lambda: service.queue.get(job_id).ending and service.queue.held())


def test_a_stop_of_one_job_outlives_a_service_that_dies_before_its_queue_knows(
    bench: Bench, after_power_cut: AfterPowerCut
) -> None:
    bench.played.preflight.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        eventually(lambda: service.queue.get(job_id).doing is State.PREPARING)
        with closing(sqlite3.connect(bench.folder.database, isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            service.tell(job_id, "stop", reason="a hair")
            later = after_power_cut()
        bench.played.preflight.set()
        bench.job(service, job_id, JobState.DONE)
        eventually(lambda: not bench.folder.wishes.exists())
    with later.running() as service:
        job = later.job(service, job_id, JobState.DONE)
        assert (job.outcome, "nanoraster reconstruct" in str(job.error)) == (Outcome.STOPPED, True)
        eventually(lambda: not later.folder.wishes.exists())
    assert later.played.scanned == later.played.resumed == []


def test_a_run_that_is_told_to_pause_before_it_begins_is_paused_after_a_crash(
    bench: Bench, after_power_cut: AfterPowerCut
) -> None:
    bench.played.preflight.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        eventually(lambda: service.queue.get(job_id).doing is State.PREPARING)
        service.tell(job_id, "pause", reason="look first")
        later = after_power_cut()
        bench.played.preflight.set()
        eventually(lambda: service.status()["state"] is State.PAUSED)
        service.tell(job_id, "resume")
        assert not bench.folder.wishes.exists()
    with later.running() as service:
        eventually(lambda: service.status()["state"] is State.PAUSED)
        assert service.status()["waits_because"] == "look first"
        assert later.played.scanned == ["pads"]
        service.tell(job_id, "resume")
        assert later.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED


def test_a_complete_run_gets_its_mosaic_though_everything_was_stopped_and_the_service_died(
    bench: Bench, after_power_cut: AfterPowerCut
) -> None:
    bench.played.mosaic.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        stopped_while_finishing(service, job_id)
        later = after_power_cut()
        bench.played.mosaic.set()
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED
    with later.running() as service:
        job = later.job(service, job_id, JobState.DONE)
        assert (job.outcome, job.tiles_taken, service.queue.held()) == (Outcome.COMPLETED, TILES, "a door")
    assert later.played.resumed == [job.run]


def test_of_a_stopped_run_that_gave_tiles_up_none_is_taken_for_the_sake_of_its_mosaic(
    bench: Bench, after_power_cut: AfterPowerCut
) -> None:
    bench.played.mosaic.clear()
    bench.played.skipped = {1}
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        stopped_while_finishing(service, job_id)
        later = after_power_cut()
        bench.played.mosaic.set()
    with later.running() as service:
        job = later.job(service, job_id, JobState.DONE)
    assert (job.outcome, job.tiles_taken) == (Outcome.STOPPED, TILES - 1)
    assert later.played.resumed == []


def test_a_wish_that_cannot_be_written_down_holds_and_says_so(bench: Bench) -> None:
    bench.played.gate.clear()
    service = Service(bench.folder, bench.rig, None, None, bench.clock, bench.played.work)
    with TestClient(create_app(service)) as client:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        bench.folder.wishes.with_suffix(".partial").mkdir()
        (trouble,) = client.post(f"/api/v1/jobs/{job_id}/pause").json()["troubles"]
        assert str(bench.folder.wishes) in trouble
        eventually(lambda: service.status()["state"] is State.PAUSED)
        bench.folder.wishes.with_suffix(".partial").rmdir()
        assert client.post(f"/api/v1/jobs/{job_id}/stop").json()["troubles"] == []
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.STOPPED


def test_a_damaged_file_of_wishes_is_said_and_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "wishes.json"
    path.write_text('{"a-run": {"ending": "nev')
    wishes = Wishes(path)
    assert (wishes.of("a-run"), "damaged" in str(wishes.trouble)) == (Wish(), True)
    wishes.keep("b-run", Wish(Outcome.STOPPED, "a hair"))
    assert wishes.trouble is None
    assert Wishes(path).of("b-run") == Wish(Outcome.STOPPED, "a hair")


def test_of_damaged_wishes_what_can_be_read_counts_and_the_others_wait_for_somebody(tmp_path: Path) -> None:
    path = tmp_path / "wishes.json"
    path.write_text(
        '{"a": {"ending": "stopped", "pause": null}, "b": {"ending": "never", "pause": null}, "c": {"x": 1}}'
    )
    wishes = Wishes(path)
    assert wishes.of("a") == Wish(Outcome.STOPPED)
    assert wishes.lost("a") is None
    assert "damaged" in str(wishes.lost("b"))
    assert "damaged" in str(wishes.lost("of-an-earlier-service"))
    wishes.begin("new")
    assert wishes.lost("new") is None
    path.write_text("[" * 100_000)
    assert Wishes(path).lost("a")


def test_a_job_that_everything_was_stopped_under_stays_stopped_though_others_are_let_begin(
    bench: Bench, after_power_cut: AfterPowerCut
) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        with closing(sqlite3.connect(bench.folder.database, isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            service.stop("a fire")
            service.write_down_stop()
            later = after_power_cut()
        bench.played.gate.set()
    service = Service(later.folder, later.rig, None, None, later.clock, later.played.work)
    service.release()  # before anything of what was left was looked at
    with service:
        assert later.job(service, job_id, JobState.DONE).outcome is Outcome.STOPPED
    assert later.played.scanned == later.played.resumed == []


def test_a_pause_while_a_run_prepares_holds_though_an_interlock_gives_the_job_back(bench: Bench) -> None:
    stands = [True]

    def scan(*args: Any, **options: Any) -> Any:
        if stands:
            bench.played.preflight.wait(SOON_S)
            raise InterlocksStand(["interlock door: open"])
        return bench.played._scan(*args, **options)

    bench.played.work = RigWork(scan, bench.played.work.resume, bench.played.work.make_safe)
    bench.played.preflight.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        eventually(lambda: service.queue.get(job_id).doing is State.PREPARING)
        service.tell(job_id, "pause", reason="look first")
        bench.played.preflight.set()
        eventually(lambda: service.queue.get(job_id).state is JobState.QUEUED)
        stands.clear()
        eventually(lambda: service.status()["state"] is State.PAUSED)
        assert service.status()["waits_because"] == "look first"
        service.tell(job_id, "resume")
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED
        eventually(lambda: not bench.folder.wishes.exists())


@pytest.mark.parametrize("summary", ["", "[]", "[" * 100_000])
def test_a_damaged_report_is_made_again_and_keeps_no_other_job_waiting(
    bench: Bench, after_power_cut: AfterPowerCut, summary: str
) -> None:
    bench.played.mosaic.clear()
    with bench.running() as service:
        first, second = service.queue.add("a", plan()).id, service.queue.add("b", plan()).id
        stopped_while_finishing(service, first)
        later = after_power_cut()
        bench.played.mosaic.set()
    run = next(later.folder.runs.iterdir())
    (run / "report").mkdir(exist_ok=True)
    (run / "report" / "summary.json").write_text(summary)
    with later.running() as service:
        service.release()
        assert later.job(service, first, JobState.DONE).outcome is Outcome.COMPLETED
        assert later.job(service, second, JobState.DONE).outcome is Outcome.COMPLETED
