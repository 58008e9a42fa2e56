"""The service: which job it runs, how it is told, and what it does after trouble, a stop, and its own death."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from acquisition.job import Job, JobState
from acquisition.queue import Queue
from acquisition.queue_database import sqlite_url
from acquisition.queue_errors import JobRefused, NotRunning, QueueError
from acquisition.readiness import InterlocksStand
from acquisition.states import Outcome, State
from acquisition.time_window import TimeWindow
from api.data_folder import DataFolder, Occupied
from api.errors import UsageError
from api.job_turn import RigWork
from api.open_queue import open_queue
from api.service import Service
from devices.errors import DeviceLost, DeviceTimeout
from tests.api.service_bench import SOON_S, Clock, PlayedWork, eventually, frames_of, plan, rig_file

HOUR = timedelta(hours=1)
TILES = 6


class Bench:
    """A service on played work, which can be ended and started again in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = DataFolder(folder / "data")
        self.rig = rig_file(folder)
        self.clock = Clock()
        self.played = PlayedWork()

    @contextmanager
    def running(self) -> Iterator[Service]:
        with Service(self.folder, self.rig, None, None, self.clock, self.played.work) as service:
            yield service
        assert service.over

    def job(self, service: Service, job_id: int, state: JobState) -> Job:
        """The job, once it is in that state."""
        eventually(lambda: service.queue.get(job_id).state is state, f"job {job_id} is never {state}")
        return service.queue.get(job_id)

    def begun(self, service: Service, tiles: int = 1) -> dict[str, Any]:
        """The status, once a job has taken so many tiles."""
        return eventually(lambda: (now := service.status())["progress"] and now["progress"]["tiles"] >= tiles and now)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("api.service.POLL_S", 0.01)
    monkeypatch.setattr("api.service.AGAIN_S", 0.02)
    monkeypatch.setattr("acquisition.queue_database.BUSY_S", 0.05)
    return Bench(tmp_path)


def test_runs_one_job_after_the_other_each_in_a_run_of_its_own(bench: Bench) -> None:
    with bench.running() as service:
        first, second = (service.queue.add("Pads, die 4", plan(name)).id for name in ("a", "b"))
        jobs = [bench.job(service, job_id, JobState.DONE) for job_id in (first, second)]
    assert bench.played.scanned == ["a", "b"]
    assert [job.outcome for job in jobs] == [Outcome.COMPLETED] * 2
    assert [job.run for job in jobs] == ["20261121T120000Z-pads-die-4", "20261121T120000Z-pads-die-4-2"]
    for job in jobs:
        assert job.run is not None
        assert frames_of(bench.folder.run(job.run)) == list(range(TILES))


def test_a_job_that_fails_does_not_keep_the_next_from_running(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.played.error = DeviceTimeout("scanner", "no answer")
    with bench.running() as service:
        first, second = (service.queue.add(name, plan(name)).id for name in ("a", "b"))
        failed = bench.job(service, first, JobState.DONE)
        bench.job(service, second, JobState.DONE)
        assert service.queue.get(second).outcome is Outcome.COMPLETED
    assert (failed.outcome, failed.error) == (Outcome.FAILED, "scanner: no answer")
    assert bench.played.made_safe == 1
    assert capsys.readouterr().err == "nanoraster: job 1 (a): scanner: no answer\n"


def test_no_job_begins_until_the_rig_is_safe_again(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.played.error = DeviceLost("scanner", "gone")
    bench.played.unsafe = DeviceLost("scanner", "still gone")
    with bench.running() as service:
        first, second = (service.queue.add(name, plan(name)).id for name in ("a", "b"))
        bench.job(service, first, JobState.DONE)
        eventually(lambda: service.status()["troubles"] == ["scanner: still gone"])
        assert service.queue.get(second).state is JobState.QUEUED
        bench.played.gate.clear()
        bench.played.unsafe = None
        eventually(lambda: service.status()["state"] is State.ACQUIRING)
        assert service.status()["troubles"] == []  # it is no longer in the way
        bench.played.gate.set()
        bench.job(service, second, JobState.DONE)
        assert service.status()["troubles"] == []
    assert capsys.readouterr().err.count("still gone") == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"plan": {"region": {"x_um": [0, 9]}}}, "y_um"),
        ({"plan": plan(), "rig": "/nowhere/rig.toml"}, "/nowhere/rig.toml"),
    ],
)
def test_a_job_that_cannot_be_begun_fails_with_its_reason(bench: Bench, wrong: dict[str, Any], said: str) -> None:
    with bench.running() as service:
        job = bench.job(service, service.queue.add("a", **wrong).id, JobState.DONE)
    assert job.outcome is Outcome.FAILED
    assert said in str(job.error)


def test_a_queue_does_not_drain_while_an_interlock_stands(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    room = bench.rig.with_name("room")
    room.write_text("28.3")
    signal = f'signal = {{ kind = "file", path = "{room}" }}'
    bench.rig.write_text(f'{bench.rig.read_text()}\n[[interlocks]]\nname = "room"\nabove = 28\n{signal}\n')
    with bench.running() as service:
        jobs = [service.queue.add(name, plan(name)).id for name in ("a", "b", "c")]
        eventually(lambda: service.status()["troubles"])
        assert service.status()["troubles"] == ["job 1 (a) waits: interlock room: 28.3 is above 28"]
        assert [service.queue.get(job_id).state for job_id in jobs] == [JobState.QUEUED] * 3
        assert list(bench.folder.runs.iterdir()) == []
        room.write_text("21")
        assert [bench.job(service, job_id, JobState.DONE).outcome for job_id in jobs] == [Outcome.COMPLETED] * 3
        assert service.status()["troubles"] == []
    assert bench.played.scanned == ["a", "b", "c"]
    assert capsys.readouterr().err.count("28.3") == 1


@pytest.mark.parametrize("ending", [None, Outcome.STOPPED])
def test_a_job_that_an_interlock_keeps_from_beginning_waits_in_its_place_unless_told_to_end(
    bench: Bench, ending: Outcome | None
) -> None:
    """As one of a device, which shows once the rig is open."""
    refusals = 3

    def scan(*given: Any, **named: Any) -> Any:
        nonlocal refusals
        if refusals:
            refusals -= 1
            if ending:
                service.tell(first, "stop")
                refusals = 0
            raise InterlocksStand(["interlock force: 5000 is above 2000"])
        return played.scan(*given, **named)

    played = bench.played.work
    bench.played.work = RigWork(scan, played.resume, played.make_safe)
    with bench.running() as service:
        first, second = (service.queue.add(name, plan(name)).id for name in ("a", "b"))
        done = bench.job(service, first, JobState.DONE)
        bench.job(service, second, JobState.DONE)
    assert (done.outcome, done.error) == (ending or Outcome.COMPLETED, None)
    assert bench.played.made_safe == 0
    assert len(list(bench.folder.runs.iterdir())) == (1 if ending else 2)


def test_a_job_is_paused_and_goes_on(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        service.tell(job_id, "pause", "tile")
        eventually(lambda: service.status()["state"] is State.PAUSED)
        eventually(lambda: service.queue.get(job_id).doing is State.PAUSED)
        bench.played.gate.set()
        service.tell(job_id, "resume")
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(("verb", "outcome"), [("stop", Outcome.STOPPED), ("abort", Outcome.FAILED)])
def test_a_job_that_is_told_to_end_ends_for_good_and_the_next_begins(bench: Bench, verb: Any, outcome: Outcome) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id, after = (service.queue.add(name, plan(name)).id for name in ("a", "b"))
        bench.begun(service)
        service.tell(job_id, verb, reason="seen enough")
        assert bench.job(service, job_id, JobState.DONE).outcome is outcome
        bench.played.gate.set()
        bench.job(service, after, JobState.DONE)
    assert bench.played.resumed == []


def test_a_job_says_what_stopped_it(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        running = service.running()
        assert running is not None
        running.told.stop("interlock gas: leak is not ok")  # as an interlock does
        ended = bench.job(service, job_id, JobState.DONE)
        assert (ended.outcome, ended.error) == (Outcome.STOPPED, "interlock gas: leak is not ok")


def test_status_says_why_a_run_waits(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        eventually(lambda: service.status()["state"] is State.ACQUIRING)
        service.tell(job_id, "pause", reason="hands in the rig")
        assert service.status()["waits_because"] == "hands in the rig"
        eventually(lambda: service.status()["state"] is State.PAUSED)
        service.tell(job_id, "resume")
        assert service.status()["waits_because"] is None
        bench.played.gate.set()
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("verb", ["pause", "resume", "skip", "stop", "abort"])
def test_a_job_whose_mosaic_is_made_is_told_nothing_any_more(bench: Bench, verb: Any) -> None:
    bench.played.mosaic.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        eventually(lambda: service.status()["state"] is State.FINISHING)
        with pytest.raises(JobRefused, match=f"job {job_id}: too late to {verb}"):
            service.tell(job_id, verb)
        assert (service.status()["ending"], service.status()["pause_pending"]) == (None, False)
        bench.played.mosaic.set()
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED


def test_only_the_running_job_can_be_told_something(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        service.queue.add("a", plan())
        waiting = service.queue.add("b", plan()).id
        bench.begun(service)
        with pytest.raises(NotRunning, match=f"job {waiting}"):
            service.tell(waiting, "abort")


def test_after_a_stop_nothing_begins_not_even_after_a_new_start(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        running, waiting = (service.queue.add(name, plan(name)).id for name in ("a", "b"))
        bench.begun(service)
        service.stop("somebody's finger")
        assert service.status()["held"] == "somebody's finger"
        assert bench.job(service, running, JobState.DONE).outcome is Outcome.STOPPED
        eventually(service.queue.held)
    bench.played.gate.set()
    with bench.running() as service:
        eventually(lambda: service.status()["held"] == "somebody's finger")
        assert service.queue.get(waiting).state is JobState.QUEUED
        service.release()
        bench.job(service, waiting, JobState.DONE)


def test_a_release_is_not_undone_by_a_stop_before_it_that_the_queue_hears_of_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, free = threading.Event(), threading.Event()
    with bench.running() as service:
        hold = service.queue.hold

        def hold_once_free(reason: str) -> None:
            waits.set()
            assert free.wait(SOON_S)
            hold(reason)

        monkeypatch.setattr(service.queue, "hold", hold_once_free)
        service.stop("somebody's finger")
        assert waits.wait(SOON_S)
        releasing = threading.Thread(target=service.release)
        releasing.start()
        releasing.join(0.2)  # one that overtakes the stop is done by then
        free.set()
        releasing.join()
        bench.job(service, service.queue.add("a", plan()).id, JobState.DONE)
        assert (service.queue.held(), service.status()["held"]) == (None, None)


def test_what_was_stopped_stays_stopped_when_the_database_refuses_the_release(bench: Bench) -> None:
    other = create_engine(sqlite_url(bench.folder.database))
    with bench.running() as service:
        with other.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            service.stop("somebody's finger")
            with pytest.raises(QueueError):
                service.release()
            assert service.status()["held"] == "somebody's finger"
        assert eventually(service.queue.held) == "somebody's finger"
    other.dispose()


def test_a_stop_does_not_wait_for_the_database(bench: Bench) -> None:
    bench.played.gate.clear()
    other = create_engine(sqlite_url(bench.folder.database))
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        with other.connect() as holder:
            holder.exec_driver_sql("BEGIN EXCLUSIVE")
            service.stop("now")
            eventually(lambda: service.status()["state"] is State.IDLE)
            eventually(lambda: any("locked" in trouble for trouble in service.status()["troubles"]))
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.STOPPED
        assert eventually(service.queue.held) == "now"
    other.dispose()


def test_a_result_waits_for_a_locked_database_and_is_told_once(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.played.gate.clear()
    tries = []
    other = create_engine(sqlite_url(bench.folder.database))
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
        finish = service.queue.finish
        monkeypatch.setattr(service.queue, "finish", lambda *end: (tries.append(end), finish(*end)))
        with other.connect() as holder:
            holder.exec_driver_sql("BEGIN EXCLUSIVE")
            bench.played.gate.set()
            eventually(lambda: len(tries) > 2)
            assert service.queue.get(job_id).state is JobState.RUNNING
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED
        eventually(lambda: service.status()["troubles"] == [])
    other.dispose()
    assert 1 <= capsys.readouterr().err.count("locked") <= 2  # by the engine; perhaps by the clerk


def test_a_claim_waits_for_a_locked_database_and_leaves_no_folders_behind(bench: Bench) -> None:
    other = create_engine(sqlite_url(bench.folder.database))
    with bench.running() as service:
        job_id = service.queue.add("a", plan(), start_at=bench.clock.now + HOUR).id
        with other.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            bench.clock.now += HOUR
            eventually(lambda: service.status()["troubles"])
        done = bench.job(service, job_id, JobState.DONE)
    other.dispose()
    assert [run.name for run in bench.folder.runs.iterdir()] == [done.run]


def test_a_job_under_way_when_the_service_ends_goes_on_in_the_same_run(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan()).id
        bench.begun(service)
    bench.played.gate.set()
    with bench.running() as service:
        job = bench.job(service, job_id, JobState.DONE)
    assert job.outcome is Outcome.COMPLETED
    assert job.run is not None
    assert (bench.played.scanned, bench.played.resumed) == (["pads"], [job.run])
    assert frames_of(bench.folder.run(job.run)) == list(range(TILES))


def left_behind(bench: Bench, run: str, ending: Outcome | None = None) -> int:
    """A job as a service leaves it that was killed while it ran."""
    bench.folder.make()
    service = Occupied(bench.folder)
    with open_queue(bench.folder, None, bench.clock) as queue:
        job_id = queue.add("a", plan("left behind")).id
        queue.claim(job_id, service.name, run)
        queue.note(job_id, State.ACQUIRING, ending)
    service.release()
    return job_id


def test_a_job_left_behind_by_a_killed_service_goes_on_first(bench: Bench) -> None:
    job_id = left_behind(bench, "the-run")
    with bench.running() as service:
        bench.job(service, job_id, JobState.DONE)
    assert bench.played.scanned == ["left behind"]
    assert bench.played.made_safe == 1  # before: the probe may still have been down


def test_a_job_that_is_about_to_go_on_is_told_from_the_first_answer_on(bench: Bench) -> None:
    job_id = left_behind(bench, "the-run")
    bench.played.gate.clear()
    with closing(Service(bench.folder, bench.rig, None, None, bench.clock, bench.played.work)) as service:
        status = service.status()
        assert (status["state"], status["job"]["id"], status["job"]["run"]) == (State.PREPARING, job_id, "the-run")
        assert service.doing(service.queue.get(job_id)) is State.PREPARING
        service.begin()
        assert eventually(lambda: (state := service.status()["state"]) is not State.PREPARING and state) == "acquiring"
        bench.played.gate.set()
        bench.job(service, job_id, JobState.DONE)
        eventually(lambda: service.status()["state"] is State.IDLE)


@pytest.mark.parametrize("why", ["told to end", "held", "stopped", "its window is closed", "a rig that is not safe"])
def test_what_does_not_go_on_is_not_told_to(bench: Bench, why: str) -> None:
    job_id = left_behind(bench, "the-run", Outcome.STOPPED if why == "told to end" else None)
    with closing(open_queue(bench.folder, None, bench.clock)) as queue:
        if why == "held":
            queue.hold("no")
        if why == "its window is closed":
            queue.interrupt(job_id, why)
            queue.edit(job_id, window=TimeWindow.parse("20:00-21:00 UTC"))
    if why == "stopped":
        (bench.folder.path / "stopped.json").write_text(json.dumps({"reason": "no", "job": None}))
    bench.played.unsafe = DeviceTimeout("scanner", "gone") if why == "a rig that is not safe" else None
    with closing(Service(bench.folder, bench.rig, None, None, bench.clock, bench.played.work)) as service:
        assert (service.status()["state"] is State.PREPARING) == (bench.played.unsafe is not None)
        service.begin()
        eventually(lambda: service.status()["state"] is State.IDLE)


def test_the_rig_is_made_safe_at_the_start_though_the_database_takes_no_writes(bench: Bench) -> None:
    job_id = left_behind(bench, "the-run")
    other = create_engine(sqlite_url(bench.folder.database))
    holder = other.connect()
    holder.exec_driver_sql("BEGIN IMMEDIATE")
    with bench.running() as service:
        eventually(lambda: bench.played.made_safe and service.status()["troubles"])
        assert service.queue.get(job_id).state is JobState.RUNNING
        holder.close()
        bench.job(service, job_id, JobState.DONE)
    other.dispose()
    assert bench.played.made_safe == 1


def test_the_own_rig_is_made_safe_while_the_queue_cannot_say_which_was_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = left_behind(bench, "the-run")
    with monkeypatch.context() as broken:
        broken.setattr(Queue, "running", refuse)
        with bench.running() as service:
            eventually(lambda: bench.played.made_safe and service.status()["troubles"])
            assert bench.played.made_safe == 1
    with bench.running() as service:
        bench.job(service, job_id, JobState.DONE)


def test_the_own_rig_is_made_safe_by_a_service_whose_database_does_not_open(bench: Bench) -> None:
    bench.folder.make()
    bench.folder.database.write_text("no database")
    with pytest.raises(QueueError) as failure:
        Service(bench.folder, bench.rig, None, None, bench.clock, bench.played.work)
    assert (bench.played.made_safe, failure.value.__notes__) == (1, ["the rig was made safe"])


def refuse(*_: object) -> None:
    raise QueueError("queue: the disk is full")


def test_a_run_that_never_began_is_begun_anew(bench: Bench) -> None:
    job_id = left_behind(bench, "the-run")
    debris = bench.folder.run("the-run") / "raw.zarr"
    debris.mkdir(parents=True)
    with bench.running() as service:
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED
    assert frames_of(bench.folder.run("the-run")) == list(range(TILES))


def test_a_job_that_was_told_to_end_is_not_gone_on_with(bench: Bench) -> None:
    job_id = left_behind(bench, "the-run", Outcome.STOPPED)
    with bench.running() as service:
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.STOPPED
    assert bench.played.scanned == bench.played.resumed == []
    assert bench.played.made_safe == 1


def test_a_job_is_interrupted_when_its_window_closes_and_goes_on_when_it_opens(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        job_id = service.queue.add("a", plan(), window=TimeWindow.parse("11:00-13:00 UTC")).id
        bench.begun(service)
        bench.clock.now += 2 * HOUR
        assert "11:00-13:00 UTC" in str(bench.job(service, job_id, JobState.INTERRUPTED).error)
        bench.played.gate.set()
        bench.clock.now += 22 * HOUR
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED
    assert len(bench.played.resumed) == 1


def test_two_services_do_not_share_a_folder(bench: Bench) -> None:
    with bench.running(), pytest.raises(UsageError, match="another service"):
        Service(bench.folder, bench.rig)


def test_a_folder_in_which_nobody_can_write_is_refused_in_words(bench: Bench) -> None:
    (bench.folder.path / "service.lock").mkdir(parents=True)  # refuses root too, as a read-only disk does
    with pytest.raises(UsageError, match=r"service\.lock: Is a directory; a service needs a data folder that it can"):
        Service(bench.folder, bench.rig)


def test_status_tells_how_far_a_job_is_also_after_it_was_gone_on_with(bench: Bench) -> None:
    bench.played.gate.clear()
    with bench.running() as service:
        service.queue.add("a", plan())
        now = bench.begun(service)
        assert (now["state"], now["progress"]) == (State.ACQUIRING, {"tiles": 1, "planned": TILES, "placed": 0})
    with bench.running() as service:
        assert bench.begun(service, 2)["progress"]["tiles"] == 2


def test_status_can_be_asked_while_the_database_is_locked(bench: Bench) -> None:
    other = create_engine(sqlite_url(bench.folder.database))
    with bench.running() as service, other.connect() as holder:
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: answers.extend(service.status() for _ in range(1000)))
        asking.start()
        asking.join(5.0)  # a thousand take milliseconds; a single wait for the database would be said as a trouble
        assert len(answers) == 1000
    other.dispose()


def test_ending_does_not_wait_longer_than_promised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.service.END_S", 0.05)
    bench.played.mosaic.clear()
    service = Service(bench.folder, bench.rig, None, None, bench.clock, bench.played.work)
    service.begin()
    job_id = service.queue.add("a", plan()).id
    eventually(lambda: service.status()["state"] is State.FINISHING)
    service.close()
    assert not service.over
    bench.played.mosaic.set()  # in earnest the process would end here
    eventually(lambda: service.over)
    service.close()
    with bench.running() as service:
        assert bench.job(service, job_id, JobState.DONE).outcome is Outcome.COMPLETED


def test_a_hold_is_told_without_a_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told, written = list[Any](), threading.Event()
    with bench.running() as service:
        ask = service.queue.held

        def held() -> str | None:
            if written.is_set():
                told.append(service.status()["held"])
            return ask()

        hold = service.queue.hold
        monkeypatch.setattr(service.queue, "hold", lambda why: (hold(why), written.set()))
        monkeypatch.setattr(service.queue, "held", held)
        service.stop("everything")
        eventually(lambda: len(told) > 1)
    assert set(told) == {"everything"}
