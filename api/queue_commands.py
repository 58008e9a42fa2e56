"""`nanoraster queue`: the queue from the command line, whether or not a service is at work on it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acquisition.job import Changes, Job
from acquisition.start_time import start_time
from acquisition.time_window import TimeWindow
from api.data_folder import DataFolder
from api.errors import UsageError
from api.job_facts import job_facts
from api.show import result
from devices.rig import RigSettings

if TYPE_CHECKING:
    from acquisition.queue import Queue

app = typer.Typer(help="The plans that wait for the rig: add, list, move, set, remove, hold, release.")

NEVER = "any"  # lifts a limit

JobId = Annotated[int, typer.Argument(metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
Data = Annotated[Path, typer.Option(metavar="DIR", envvar="NANORASTER_DATA", help="Folder of the service.")]
Database = Annotated[
    str | None, typer.Option(metavar="URL", envvar="NANORASTER_DATABASE", help="Default: nanoraster.db in DIR.")
]
StartAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="Not before: ISO 8601, by the local clock unless it names an offset.")
]
Window = Annotated[
    str | None, typer.Option(metavar="HH:MM-HH:MM [ZONE]", help="Only then, each day; by default in the local zone.")
]


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Plan (TOML, JSON), or useq MDASequence (JSON, YAML).")],
    rig: Annotated[
        Path | None, typer.Option("--rig", help="Rig file (TOML); without it, the service's own, which is asked then.")
    ] = None,
    start_at: StartAt = None,
    window: Window = None,
    data: Data = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Check a plan and put it at the end of the queue."""
    from acquisition.field import Field
    from acquisition.sequence import load_plan
    from api.submit import submit  # with all that a plan is held against

    settings = RigSettings.load(rig) if rig else None
    plan = load_plan(file, Field.calibrated(settings.calibration) if settings else None)
    moment, hours = _moment(start_at), _hours(window)
    folder = DataFolder(data)
    folder.make()
    with _open(folder, database) as queue:
        job = submit(queue, folder, plan, settings, rig, moment, hours)
    _show(job, queue, as_json)


@app.command("list")
def list_jobs(data: Data = Path(), database: Database = None, as_json: Json = False) -> None:
    """What is over, as it ended; what runs; what is to come, as it will run."""
    with _queue(data, database) as queue:
        listing = queue.listing()
        held = queue.held()
    facts = [job_facts(job, datetime.now(UTC)) for job in listing.jobs]
    text = [*map(_line, facts), *listing.damaged] or ["the queue is empty"]
    if held is not None:
        text.append(f"held: {held}")
    found = {"queue_version": listing.version, "held": held, "jobs": facts, "damaged": listing.damaged}
    _tell(queue, as_json, found, text)


@app.command()
def move(
    job_id: JobId,
    position: Annotated[
        int, typer.Argument(metavar="POS", min=0, help="0: the next to run; beyond the last: the last.")
    ],
    data: Data = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Put a waiting job before or after others."""
    with _queue(data, database) as queue:
        job = queue.edit(job_id, position=position)
    _show(job, queue, as_json)


@app.command("set")
def set_times(
    job_id: JobId,
    start_at: StartAt = None,
    window: Window = None,
    data: Data = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Say anew when a waiting job may run; `any` lifts a limit."""
    changes = Changes()
    if start_at is not None:
        changes["start_at"] = _moment(start_at)
    if window is not None:
        changes["window"] = _hours(window)
    if not changes:
        raise UsageError("queue set: give --start-at or --window")
    with _queue(data, database) as queue:
        job = queue.edit(job_id, **changes)
    _show(job, queue, as_json)


@app.command()
def remove(job_id: JobId, data: Data = Path(), database: Database = None, as_json: Json = False) -> None:
    """Take a job that does not run off the list; what it acquired stays."""
    with _queue(data, database) as queue:
        job = queue.remove(job_id)
    _show(job, queue, as_json)


@app.command()
def hold(
    reason: Annotated[str, typer.Argument()] = "held from the command line",
    data: Data = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Let no further job begin; the one that runs goes on."""
    if not reason.strip():
        raise UsageError(f"reason {reason!r}: should say why")
    with _queue(data, database) as queue:
        queue.hold(reason)
    _tell(queue, as_json, {"held": reason}, [f"held: {reason}"])


@app.command()
def release(data: Data = Path(), database: Database = None, as_json: Json = False) -> None:
    """Let jobs begin again."""
    with _queue(data, database) as queue:
        queue.release(unless=partial(_refuse_unknown_stop, DataFolder(data).stopped))
    _tell(queue, as_json, {"held": None}, ["released"])


def _refuse_unknown_stop(stopped: Path) -> None:
    if stopped.exists():
        raise UsageError(
            f"{stopped}: everything was stopped, and the queue does not know it yet; let the service run first"
        )


@contextmanager
def _queue(data: Path, database: str | None) -> Iterator["Queue"]:
    """The queue of a folder that has one."""
    folder = DataFolder(data)
    if database is None and not folder.database.exists():
        raise UsageError(f"--data {data}: no queue in {folder.path}; give the folder of the service")
    with _open(folder, database) as queue:
        yield queue


def _open(folder: DataFolder, database: str | None) -> "Queue":
    from api.open_queue import open_queue  # brings the database machinery, which no other command needs

    return open_queue(folder, database)


def _moment(text: str | None) -> datetime | None:
    if text is None or text == NEVER:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--start-at {text}: should be like 2026-11-21T22:00 or 2026-11-21T22:00+01:00") from error
    try:
        return start_time(moment)
    except ValueError as error:
        raise UsageError(f"--start-at {text}: {error}") from error


def _hours(text: str | None) -> TimeWindow | None:
    if text is None or text == NEVER:
        return None
    try:
        return TimeWindow.parse(text)
    except ValueError as error:
        raise UsageError(f"--window {text}: {error}") from error


def _show(job: Job, queue: "Queue", as_json: bool) -> None:
    facts = job_facts(job, datetime.now(UTC))
    _tell(queue, as_json, facts, [_line(facts)])


def _tell(queue: "Queue", as_json: bool, found: Mapping[str, Any], lines: list[str]) -> None:
    """Say what was done or found, and for people in which queue: a folder that nobody named is soon a wrong one."""
    result(as_json, found, [f"queue {queue.place}", *lines])


def _line(job: dict[str, Any]) -> str:
    """One job in one line."""
    state = job["outcome"] or job["state"]
    when = f"from {job['starts_at']}" if job["start_at"] else job["ended_at"] or ""
    tiles = f"{job['tiles']['ok']} of {job['tiles']['planned']} tiles" if job["tiles"] else None
    details = [when, tiles, job["window"], job["run"], job["error"]]
    return "  ".join([f"{job['id']:>4}", f"{state:<11}", f"{job['name']:<24}", *filter(None, details)])
