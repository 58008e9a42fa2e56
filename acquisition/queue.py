"""The queue: which plan runs next, when, and what became of it. Several processes may use it at the same time."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, Unpack

from sqlalchemy import ColumnElement, Connection, Row, func, select

from acquisition.job import Changes, Job, JobState
from acquisition.queue_database import JOBS, QUEUE, QueueDatabase
from acquisition.queue_errors import JobRefused, NoSuchJob, QueueChanged, QueueError
from acquisition.states import Outcome, State
from acquisition.time_window import TimeWindow

WAITING = (JobState.QUEUED, JobState.INTERRUPTED)
ORDER = (JobState.REMOVED, JobState.DONE, JobState.RUNNING, *reversed(WAITING))
LARGEST_ID = 2**31 - 1  # of an integer of PostgreSQL; a larger number is no job's, and no database takes it
NOT_ENDED = datetime.max.replace(tzinfo=UTC)
IN_THE_WAY = {
    JobState.RUNNING: "it is running",
    JobState.DONE: "it is done",
    JobState.REMOVED: "it has been removed",
}


def utc_clock() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Listing(NamedTuple):
    """The queue at one of its versions; `damaged` says for each job whose line cannot be read which and why."""

    version: int
    jobs: list[Job]
    damaged: list[str]


class Queue:
    """Jobs in their order. Every call may raise `QueueError`, and has then changed nothing."""

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_clock) -> None:
        """Open the queue at a database URL; see `QueueDatabase` for what it may raise."""
        self._database = QueueDatabase(url)
        self._clock = clock
        self._looked_at: tuple[int, list[Job]] = -1, []  # version, and what waited then

    @property
    def place(self) -> str:
        """Where it is kept: a file, or the URL of a server without its password."""
        return self._database.place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(
        self,
        name: str,
        plan: Mapping[str, Any],
        rig: str | None = None,
        start_at: datetime | None = None,
        window: TimeWindow | None = None,
    ) -> Job:
        """Put a checked plan at the end of the queue."""
        values = {
            "name": name,
            "plan": dict(plan),
            "rig": rig,
            "start_at": _text(start_at),
            "time_window": _text(window),
            "state": JobState.QUEUED,
            "doing": State.IDLE,
            "created_at": _text(self._clock()),
        }
        with self._database.writing() as connection:
            last = connection.execute(select(func.coalesce(func.max(JOBS.c.position), -1))).scalar_one()
            key = connection.execute(JOBS.insert().values(values | {"position": last + 1})).inserted_primary_key
            assert key is not None
            return _job(connection, key[0])

    def jobs(self) -> list[Job]:
        """Every job that was not removed: those that are over, as they ended, and those to come, as they will run."""
        return self.listing().jobs

    def listing(self) -> Listing:
        """`jobs`, and at which version of the queue; the version rises with every change."""
        with self._database.reading() as connection:
            version = _version(connection)
            jobs, damaged = _read(connection, JOBS.c.state != JobState.REMOVED)
        return Listing(version, sorted(jobs, key=_order), damaged)

    def get(self, job_id: int) -> Job:
        """One job, removed or not.

        Raises:
            NoSuchJob
        """
        with self._database.reading() as connection:
            return _job(connection, job_id)

    def edit(self, job_id: int, version: int | None = None, **changes: Unpack[Changes]) -> Job:
        """Say anew when a waiting job may run, or before which others; what is not given stays as it is.

        Raises:
            NoSuchJob, JobRefused: it does not wait.
            QueueChanged: the queue is not at `version` any more.
        """
        with self._database.writing() as connection:
            _refuse_other_version(connection, version)
            job = _job(connection, job_id)
            if not job.waiting:
                raise JobRefused(f"job {job_id}: {IN_THE_WAY[job.state]}")
            if "position" in changes:
                _place(connection, job, changes["position"])
            if "start_at" in changes:
                _set(connection, job_id, start_at=_text(changes["start_at"]))
            if "window" in changes:
                _set(connection, job_id, time_window=_text(changes["window"]))
            return _job(connection, job_id)

    def remove(self, job_id: int) -> Job:
        """Take a job off the list; what it acquired stays.

        Raises:
            NoSuchJob, JobRefused: it is running.
        """
        with self._database.writing() as connection:
            job = _job(connection, job_id)
            if job.state is JobState.RUNNING:
                raise JobRefused(f"job {job_id}: {IN_THE_WAY[job.state]}; stop or abort it first")
            _set(connection, job_id, state=JobState.REMOVED)
            return _job(connection, job_id)

    def hold(self, reason: str) -> None:
        """Let no job begin until `release`; the one that runs is not touched."""
        with self._database.writing() as connection:
            connection.execute(QUEUE.update().values(held=reason))

    def release(self, unless: Callable[[], None] = lambda: None) -> None:
        """Let jobs begin again, unless `unless` raises: nobody can hold the queue between that and the release."""
        with self._database.writing() as connection:
            unless()
            connection.execute(QUEUE.update().values(held=None))

    def held(self) -> str | None:
        """Why no job may begin; None if they may."""
        with self._database.reading() as connection:
            return _held(connection)

    def next_due(self) -> Job | None:
        """The first job in order that may run now: an interrupted one before all others.

        Asked again and again; reads the jobs only when the queue has changed.
        """
        with self._database.reading() as connection:
            if _held(connection) is not None:
                return None
            if self._looked_at[0] != (version := _version(connection)):
                self._looked_at = version, _waiting(connection)
        now = self._clock()
        return next((job for job in self._looked_at[1] if job.due(now)), None)

    def claim(self, job_id: int, owner: str, run: str) -> Job | None:
        """Take a due job for the service `owner`, to be acquired into `run`; None if it is not to be had any more.

        Of several who claim a job at the same time one gets it.
        """
        with self._database.writing() as connection:
            now = self._clock()
            job = _job(connection, job_id)
            if _held(connection) is not None or not job.due(now):
                return None
            began = _text(job.started_at or now)
            _set(connection, job_id, state=JobState.RUNNING, owner=owner, run=run, started_at=began, error=None)
            return _job(connection, job_id)

    def unended_runs(self) -> list[str]:
        """Those under way, and those that are to be gone on with."""
        with self._database.reading() as connection:
            going_on = JOBS.c.state.in_((JobState.RUNNING, JobState.INTERRUPTED)) & JOBS.c.run.is_not(None)
            return list(connection.execute(select(JOBS.c.run).where(going_on)).scalars())

    def running(self, owner: str) -> list[Job]:
        """The jobs that `owner` has claimed and not given back: after it has died, those that it left behind."""
        with self._database.reading() as connection:
            mine = (JOBS.c.state == JobState.RUNNING) & (JOBS.c.owner == owner)
            return _read(connection, mine)[0]

    def note(self, job_id: int, doing: State, ending: Outcome | None) -> None:
        """Write down what a running job does and, if somebody told it to end, how."""
        with self._database.writing() as connection:
            if _job(connection, job_id).state is JobState.RUNNING:
                _set(connection, job_id, doing=doing, ending=ending)

    def interrupt(self, job_id: int, reason: str) -> None:
        """Give a running job back, to be gone on with where it was."""
        with self._database.writing() as connection:
            _set(connection, job_id, state=JobState.INTERRUPTED, doing=State.IDLE, owner=None, error=reason)

    def give_back(self, job_id: int, reason: str) -> None:
        """Put a running job back that could not begin yet, to where it was in the queue."""
        unbegun = {"owner": None, "run": None, "started_at": None, "error": reason}
        with self._database.writing() as connection:
            _set(connection, job_id, state=JobState.QUEUED, doing=State.IDLE, **unbegun)

    def finish(
        self, job_id: int, outcome: Outcome, error: str | None = None, tiles: tuple[int, int] | None = None
    ) -> None:
        """Say how a job ended, and how many `tiles` of its run were taken and planned."""
        taken, planned = tiles or (None, None)
        with self._database.writing() as connection:
            ended = {"state": JobState.DONE, "doing": State.IDLE, "ended_at": _text(self._clock())}
            _set(connection, job_id, **ended, outcome=outcome, error=error, tiles_taken=taken, tiles_planned=planned)

    def close(self) -> None:
        """May be called twice."""
        self._database.close()


def _held(connection: Connection) -> str | None:
    reason: str | None = connection.execute(select(QUEUE.c.held)).scalar_one()
    return reason


def _job(connection: Connection, job_id: int) -> Job:
    known = 0 < job_id <= LARGEST_ID
    try:
        row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none() if known else None
        if row is not None:
            return _from_row(row)
    except ValueError as error:
        raise QueueError(f"job {job_id}: its line in the queue is damaged: {error}") from error
    raise NoSuchJob(f"job {job_id}: there is none")


def _read(connection: Connection, which: ColumnElement[bool]) -> tuple[list[Job], list[str]]:
    """Some jobs, in any order, and what is wrong with those that cannot be read."""
    with suppress(ValueError):
        return [_from_row(row) for row in connection.execute(select(JOBS).where(which)).all()], []
    jobs, damaged = [], []
    for job_id in connection.execute(select(JOBS.c.id).where(which)).scalars().all():
        try:
            jobs.append(_job(connection, job_id))
        except QueueError as error:
            damaged.append(str(error))
    return jobs, damaged


def _place(connection: Connection, job: Job, position: int) -> None:
    """Put a waiting job at a place among those that wait; they share the positions that they have."""
    others = _waiting(connection)
    places = sorted(other.position for other in others)
    others.remove(job)
    others.insert(min(max(position, 0), len(others)), job)
    for place, other in zip(places, others, strict=True):
        _set(connection, other.id, position=place)


def _waiting(connection: Connection) -> list[Job]:
    """In the order in which they are to run; without the damaged, which nobody could."""
    return sorted(_read(connection, JOBS.c.state.in_(WAITING))[0], key=_order)


def _version(connection: Connection) -> int:
    version: int = connection.execute(select(QUEUE.c.version)).scalar_one()
    return version


def _refuse_other_version(connection: Connection, version: int | None) -> None:
    found = _version(connection) - 1  # this very transaction has raised it
    if version is not None and version != found:
        raise QueueChanged(f"queue_version = {version}: the queue is at {found} by now; look at it again")


def _set(connection: Connection, job_id: int, **values: object) -> None:
    connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(values))


def _order(job: Job) -> tuple[int, datetime, int]:
    """Where a job stands in a list: what is over, as it ended; what runs; what goes on next; what waits."""
    return ORDER.index(job.state), job.ended_at or NOT_ENDED, job.position


def _from_row(row: Row[Any]) -> Job:
    found = dict(row._mapping)
    window = found.pop("time_window")
    for name in ("start_at", "created_at", "started_at", "ended_at"):
        found[name] = None if found[name] is None else datetime.fromisoformat(found[name])
    found["window"] = None if window is None else TimeWindow.parse(window)
    found["state"], found["doing"] = JobState(found["state"]), State(found["doing"])
    for name in ("outcome", "ending"):
        found[name] = None if found[name] is None else Outcome(found[name])
    return Job(**{field.name: found[field.name] for field in fields(Job)})


def _text(value: datetime | TimeWindow | None) -> str | None:
    """As the tables keep it; a time in UTC, so that people who look there can compare."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return None if value is None else str(value)
