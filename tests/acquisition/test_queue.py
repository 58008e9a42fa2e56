"""The queue: order, times, and who gets which job, also when its users die or come at the same moment."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from acquisition.job import JobState
from acquisition.queue import Queue
from acquisition.queue_database import HEAD, METADATA, MIGRATIONS, sqlite_url
from acquisition.queue_errors import JobRefused, NoSuchJob, QueueChanged, QueueError
from acquisition.start_time import start_time
from acquisition.states import Outcome, State
from acquisition.time_window import TimeWindow

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NIGHT = TimeWindow.parse("22:00-07:00 UTC")


class Clock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database. PostgreSQL: a schema of its own on the server of NANORASTER_TEST_POSTGRES."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "nanoraster.db")
        return
    server = os.environ.get("NANORASTER_TEST_POSTGRES")
    if not server:
        pytest.skip("NANORASTER_TEST_POSTGRES names no PostgreSQL server")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE SCHEMA nanoraster_test"))
        try:
            yield server + ("&" if "?" in server else "?") + "options=-csearch_path%3Dnanoraster_test"
        finally:
            connection.execute(text("DROP SCHEMA nanoraster_test CASCADE"))
    admin.dispose()


@pytest.fixture
def queue(url: str, clock: Clock) -> Iterator[Queue]:
    with Queue(url, clock) as opened:
        yield opened


def names(queue: Queue) -> list[str]:
    return [job.name for job in queue.jobs()]


def add(queue: Queue, *wanted: str) -> list[int]:
    return [queue.add(name, {"name": name}).id for name in wanted]


def run_one(queue: Queue, owner: str = "me") -> int:
    """Claim the next due job, as a service does."""
    job = queue.next_due()
    assert job is not None
    claimed = queue.claim(job.id, owner, f"run-{job.id}")
    assert claimed is not None
    return claimed.id


def test_a_job_comes_back_as_it_was_added(queue: Queue) -> None:
    plan = {"region": {"x_um": [0, 9.5], "y_um": [0, 4]}, "name": "pads, die 4 µ"}
    added = queue.add("pads", plan, "/rigs/a.toml", NOON + HOUR, NIGHT)
    assert queue.get(added.id) == added
    assert (added.plan, added.rig, added.start_at, added.window) == (plan, "/rigs/a.toml", NOON + HOUR, NIGHT)
    assert (added.state, added.outcome, added.created_at) == (JobState.QUEUED, None, NOON)


def test_jobs_run_in_the_order_in_which_they_were_added(queue: Queue) -> None:
    ids = add(queue, "a", "b", "c")
    ran = []
    while queue.next_due():
        ran.append(run_one(queue))
        queue.finish(ran[-1], Outcome.COMPLETED)
    assert ran == ids


@pytest.mark.parametrize(
    ("position", "expected"), [(0, "cabd"), (1, "acbd"), (2, "abcd"), (3, "abdc"), (10**20, "abdc")]
)
def test_a_job_moves_to_its_place_among_those_that_wait(queue: Queue, position: int, expected: str) -> None:
    _, _, third, _ = add(queue, "a", "b", "c", "d")
    queue.edit(third, position=position)
    assert names(queue) == list(expected)


@pytest.mark.parametrize("job_id", [0, -1, 7, 2**31, 10**20])
def test_a_number_that_is_no_job_s_is_told_as_such(queue: Queue, job_id: int) -> None:
    with pytest.raises(NoSuchJob, match=f"job {job_id}: "):
        queue.get(job_id)


def test_an_ended_job_says_how_many_of_its_tiles_were_taken(queue: Queue) -> None:
    add(queue, "a")
    job_id = run_one(queue)
    queue.finish(job_id, Outcome.COMPLETED, tiles=(16, 20))
    job = queue.get(job_id)
    assert (job.tiles_taken, job.tiles_planned) == (16, 20)


def test_a_queue_of_an_older_nanoraster_is_brought_up_to_date(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "nanoraster.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(OLD_JOB))
    engine.dispose()
    with Queue(url) as queue:
        assert [(job.name, job.tiles_planned) for job in queue.jobs()] == [("a", None)]


OLD_JOB = """
INSERT INTO jobs (name, plan, position, state, doing, created_at)
VALUES ('a', '{}', 0, 'queued', 'idle', '2026-11-21T12:00:00+00:00')
"""


def test_a_place_does_not_count_jobs_that_run_or_are_over(queue: Queue) -> None:
    add(queue, "a", "b", "c", "d")
    queue.finish(run_one(queue), Outcome.COMPLETED)
    run_one(queue)
    queue.edit(queue.jobs()[-1].id, position=0)
    assert names(queue) == ["a", "b", "d", "c"]


def test_an_edit_of_an_older_queue_is_refused(queue: Queue) -> None:
    first, second = add(queue, "a", "b")
    version = queue.listing().version
    queue.edit(second, version, position=0)
    with pytest.raises(QueueChanged, match="look at it again"):
        queue.edit(first, version, position=0)
    assert names(queue) == ["b", "a"]


def test_moves_at_the_same_time_leave_every_job_in_one_place(queue: Queue) -> None:
    ids = add(queue, *"abcdef")
    with ThreadPoolExecutor(6) as people:
        list(people.map(lambda number: queue.edit(ids[number], position=0), range(6)))
    positions = [job.position for job in queue.jobs()]
    assert sorted(names(queue)) == list("abcdef")
    assert len(set(positions)) == 6


def test_of_many_who_claim_a_job_one_gets_it(url: str, queue: Queue, clock: Clock) -> None:
    job_id = add(queue, "a")[0]
    services = [Queue(url, clock) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda n: services[n].claim(job_id, f"service {n}", f"run {n}"), range(6)))
    for service in services:
        service.close()
    winners = [job for job in got if job is not None]
    assert len(winners) == 1
    assert queue.get(job_id) == winners[0]


def test_a_claimed_job_cannot_be_edited_or_removed(queue: Queue) -> None:
    add(queue, "a")
    job_id = run_one(queue)
    with pytest.raises(JobRefused, match="running"):
        queue.edit(job_id, position=0)
    with pytest.raises(JobRefused, match="abort it first"):
        queue.remove(job_id)


def test_a_removed_job_is_not_run_and_its_number_not_given_again(queue: Queue) -> None:
    first, second = add(queue, "a", "b")
    queue.remove(second)
    queue.remove(first)
    assert queue.next_due() is None
    assert names(queue) == []
    assert add(queue, "c")[0] > second
    with pytest.raises(NoSuchJob, match="99"):
        queue.get(99)


def test_a_job_waits_for_its_start_and_lets_others_go_first(queue: Queue, clock: Clock) -> None:
    later = queue.add("later", {}, start_at=NOON + HOUR)
    now = queue.add("now", {})
    assert run_one(queue) == now.id
    assert queue.next_due() is None
    clock.now += HOUR
    assert run_one(queue) == later.id


def test_a_clock_that_jumps_neither_starts_a_job_twice_nor_skips_it(queue: Queue, clock: Clock) -> None:
    add(queue, "a")
    queue.edit(1, start_at=NOON + HOUR)
    clock.now += 5 * HOUR  # past the start without ever having shown it
    job_id = run_one(queue)
    clock.now = NOON - HOUR
    assert queue.next_due() is None
    clock.now = NOON + HOUR
    assert queue.next_due() is None
    assert queue.claim(job_id, "another", "run") is None
    queue.finish(job_id, Outcome.COMPLETED)
    clock.now += HOUR
    assert queue.next_due() is None


def test_a_job_that_was_due_waits_again_when_the_clock_is_set_back(queue: Queue, clock: Clock) -> None:
    queue.add("a", {}, start_at=NOON)
    seen = queue.next_due()
    assert seen is not None
    clock.now -= timedelta(minutes=1)
    assert queue.claim(seen.id, "me", "run") is None
    clock.now += timedelta(minutes=1)
    assert queue.claim(seen.id, "me", "run") is not None


def test_a_job_runs_in_its_window_alone(queue: Queue, clock: Clock) -> None:
    queue.add("a", {}, window=NIGHT)
    assert queue.next_due() is None
    clock.now = NOON + 10 * HOUR
    assert queue.next_due() is not None
    queue.edit(1, window=None)
    clock.now = NOON
    assert queue.next_due() is not None


def test_nothing_begins_while_the_queue_is_held(url: str, queue: Queue, clock: Clock) -> None:
    add(queue, "a")
    seen = queue.next_due()
    assert seen is not None
    queue.hold("door open")
    assert queue.claim(seen.id, "me", "run") is None
    with Queue(url, clock) as after_a_restart:
        assert after_a_restart.held() == "door open"
        assert after_a_restart.next_due() is None
        after_a_restart.release()
    assert queue.next_due() is not None


def test_an_interrupted_job_goes_on_first_in_the_same_run(queue: Queue) -> None:
    add(queue, "a", "b")
    job_id = run_one(queue)
    queue.edit(2, position=0)
    queue.interrupt(job_id, "power cut")
    job = queue.next_due()
    assert job is not None
    assert (job.id, job.state, job.run, job.error) == (job_id, JobState.INTERRUPTED, "run-1", "power cut")


def test_each_service_finds_the_jobs_that_it_left_behind(queue: Queue) -> None:
    add(queue, "a", "b")
    mine, others = run_one(queue, "me"), run_one(queue, "another")
    assert [job.id for job in queue.running("me")] == [mine]
    assert [job.id for job in queue.running("another")] == [others]


def test_runs_that_have_not_ended_are_those_under_way_and_those_to_be_gone_on_with(queue: Queue) -> None:
    done, interrupted, running, _ = add(queue, "a", "b", "c", "d")
    for job_id in (done, interrupted, running):
        assert run_one(queue) == job_id
        if job_id == done:
            queue.finish(job_id, Outcome.COMPLETED)
    queue.interrupt(interrupted, "the power went")
    assert sorted(queue.unended_runs()) == [f"run-{interrupted}", f"run-{running}"]


def test_what_a_running_job_does_is_noted_until_it_is_over(queue: Queue) -> None:
    add(queue, "a")
    job_id = run_one(queue)
    queue.note(job_id, State.PAUSED, Outcome.STOPPED)
    assert (queue.get(job_id).doing, queue.get(job_id).ending) == (State.PAUSED, Outcome.STOPPED)
    queue.finish(job_id, Outcome.FAILED, "focus: no answer")
    queue.note(job_id, State.ACQUIRING, None)
    job = queue.get(job_id)
    assert (job.state, job.doing, job.outcome, job.error) == (
        JobState.DONE,
        State.IDLE,
        Outcome.FAILED,
        "focus: no answer",
    )


@pytest.mark.parametrize(
    ("column", "value"), [("time_window", "at night"), ("plan", "{"), ("state", "lost"), ("start_at", "tomorrow")]
)
def test_a_damaged_job_is_named_and_keeps_no_other_waiting(url: str, queue: Queue, column: str, value: str) -> None:
    if column == "plan" and not url.startswith("sqlite"):
        pytest.skip("PostgreSQL lets no such plan in")
    bad, _ = add(queue, "bad", "good")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET {column} = '{value}' WHERE id = {bad}"))
    engine.dispose()
    listing = queue.listing()
    assert [job.name for job in listing.jobs] == ["good"]
    assert [said.partition(" damaged")[0] for said in listing.damaged] == [f"job {bad}: its line in the queue is"]
    due = queue.next_due()
    assert due is not None
    assert due.name == "good"
    with pytest.raises(QueueError, match=f"job {bad}: its line in the queue is damaged"):
        queue.get(bad)


def test_an_idle_queue_is_looked_at_without_reading_its_jobs(
    queue: Queue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add("later", {}, start_at=NOON + HOUR)
    assert queue.next_due() is None
    monkeypatch.setattr("acquisition.queue._from_row", Mock(side_effect=AssertionError("a job was read")))
    assert queue.next_due() is None
    clock.now += HOUR
    due = queue.next_due()
    assert due is not None
    monkeypatch.undo()
    queue.edit(due.id, start_at=NOON + 2 * HOUR)
    assert queue.next_due() is None


def test_a_database_that_does_not_say_its_version_is_told_as_damaged(url: str, queue: Queue) -> None:
    queue.close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()
    with pytest.raises(QueueError, match=f"queue .*{engine.url.database}.*: damaged"):
        Queue(url)


def test_the_migrations_make_the_tables_that_the_code_uses(url: str, queue: Queue) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_a_database_of_a_newer_nanoraster_is_left_alone(url: str, queue: Queue) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(QueueError, match="newer nanoraster"):
        Queue(url)


def test_a_url_that_cannot_be_used_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="database"):
        Queue("mysteriousdb://host/name")


def test_a_locked_database_is_told_and_nothing_is_lost(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acquisition.queue_database.BUSY_S", 0.05)
    other = create_engine(url)
    with Queue(url) as queue:
        add(queue, "a")
        with other.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE" if "sqlite" in url else "UPDATE queue SET version = version")
            with pytest.raises(QueueError, match=r"queue .*(database is locked|timeout)"):
                add(queue, "b")
            assert names(queue) == ["a"]  # reading goes on
            holder.rollback()
        add(queue, "b")
        assert names(queue) == ["a", "b"]
    other.dispose()


MANY_WRITES = """
import sys
from acquisition.queue import Queue
queue = Queue(sys.argv[1])
while True:
    job = queue.add("a", {})
    print(job.id, flush=True)
    claimed = queue.claim(job.id, "me", f"run-{job.id}")
    queue.edit(queue.add("b", {}).id, position=0)
    queue.finish(job.id, "completed")
"""


def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "nanoraster.db")
    acknowledged: list[int] = []
    for lines in (1, 2, 5):
        process = subprocess.Popen([sys.executable, "-c", MANY_WRITES, url], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged += [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines()]
        process.wait(10)
        process.stdout.close()
        with Queue(url) as queue:
            jobs = queue.jobs()
            assert set(acknowledged) <= {job.id for job in jobs}
            waiting = [job.position for job in jobs if job.waiting]
            assert len(waiting) == len(set(waiting))


def test_two_processes_may_create_the_queue_at_the_same_time(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "nanoraster.db")
    script = "import sys; from acquisition.queue import Queue; Queue(sys.argv[1]).add('a', {})"
    both = [subprocess.Popen([sys.executable, "-c", script, url]) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    with Queue(url) as queue:
        assert len(queue.jobs()) == 2


BERLIN = "Europe/Berlin"  # clocks forward 2026-03-29 02:00 -> 03:00, back 2026-10-25 03:00 -> 02:00


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ("22:00-07:00 UTC", "2026-11-21T21:59:59Z", False),
        ("22:00-07:00 UTC", "2026-11-21T22:00:00Z", True),
        ("22:00-07:00 UTC", "2026-11-22T06:59:59Z", True),
        ("22:00-07:00 UTC", "2026-11-22T07:00:00Z", False),
        ("09:00-17:30 UTC", "2026-11-21T17:29:59Z", True),
        ("09:00-17:30 UTC", "2026-11-21T17:30:00Z", False),
        (f"22:00-07:00 {BERLIN}", "2026-11-21T21:00:00Z", True),  # winter, one hour ahead of UTC
        (f"22:00-07:00 {BERLIN}", "2026-07-21T20:00:00Z", True),  # summer, two
        (f"22:00-07:00 {BERLIN}", "2026-07-21T19:59:00Z", False),
        (f"02:00-03:00 {BERLIN}", "2026-03-29T01:00:00Z", False),  # the hour that is skipped: it is 03:00
        (f"02:30-04:00 {BERLIN}", "2026-03-29T01:00:00Z", True),  # opens when the clocks jump over its start
        (f"02:00-03:00 {BERLIN}", "2026-10-25T00:30:00Z", True),  # the hour that comes twice
        (f"02:00-03:00 {BERLIN}", "2026-10-25T01:30:00Z", True),
        (f"02:00-03:00 {BERLIN}", "2026-10-25T02:00:00Z", False),
    ],
)
def test_a_window_goes_by_the_clock_on_the_wall(window: str, moment: str, is_open: bool) -> None:
    assert TimeWindow.parse(window).contains(datetime.fromisoformat(moment)) is is_open


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [
        ("22:00-07:00 UTC", "2026-11-21T12:00:30Z", "2026-11-21T22:00:00Z"),
        ("22:00-07:00 UTC", "2026-11-21T23:00:30Z", "2026-11-21T23:00:30Z"),
        (f"02:00-03:00 {BERLIN}", "2026-03-28T23:00:00Z", "2026-03-30T00:00:00Z"),  # not at all that night
        (f"02:30-04:00 {BERLIN}", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"),
    ],
)
def test_a_window_opens_at_the_first_minute_that_lies_in_it(window: str, moment: str, opens: str) -> None:
    found = TimeWindow.parse(window).next_open(datetime.fromisoformat(moment))
    assert found == datetime.fromisoformat(opens)


def test_a_window_without_a_zone_names_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acquisition.time_window.get_localzone_name", lambda: "Asia/Tokyo")
    assert str(TimeWindow.parse("22:00-07:00")) == "22:00-07:00 Asia/Tokyo"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("22-7", "22:00-07:00 Europe/Berlin"),
        ("25:00-07:00", "hour"),
        ("22:00-07:00 Mars/Olympus", "Mars/Olympus"),
        ("07:00-07:00", "same time"),
        ("22:00-07:61", "minute"),
        ("22:00", "22:00-07:00 Europe/Berlin"),
        ("", "22:00-07:00 Europe/Berlin"),
    ],
)
def test_a_window_that_is_none_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TimeWindow.parse(text)


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "1999-12-31"]
)
def test_a_start_beyond_what_anybody_means_is_refused_with_the_range(moment: str) -> None:
    with pytest.raises(ValueError, match=r"2000\.\.2099"):
        start_time(datetime.fromisoformat(moment))


def test_a_start_is_kept_in_utc() -> None:
    assert start_time(datetime.fromisoformat("2026-11-21T13:00+01:00")).isoformat() == "2026-11-21T12:00:00+00:00"
