"""The queue, and what the running job can be told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AfterValidator, AwareDatetime, Field

from acquisition.instructions import PauseAfter
from acquisition.job import Changes, Job
from acquisition.plan import ExposureFactor
from acquisition.preflight import MOST_TILES
from acquisition.queue import utc_clock
from acquisition.queue_errors import JobRefused, NotRunning
from acquisition.start_time import start_time
from acquisition.time_window import TimeWindow
from api.access.access_of import CallerOf
from api.any_plan import AnyPlan, plan_for
from api.job_facts import job_facts
from api.routes.service_of import ServiceOf
from api.service import Service, Verb
from api.submit import submit
from devices.model import Model, Printable, Whole

router = APIRouter(prefix="/jobs")

StartAt = Annotated[AwareDatetime, AfterValidator(start_time)]
WindowText = Annotated[str, AfterValidator(lambda text: str(TimeWindow.parse(text)))]
"""Like `22:00-07:00 Europe/Berlin`."""


class NewJob(Model):
    plan: AnyPlan
    start_at: StartAt | None = None
    window: WindowText | None = None


class JobChanges(Model):
    """What is not given stays; null lifts a limit. With `queue_version`, only if nobody changed the queue since."""

    position: Annotated[Whole, Field(ge=0)] | None = None
    start_at: StartAt | None = None
    window: WindowText | None = None
    queue_version: Whole | None = None


class Reason(Model):
    reason: Printable = ""


class Pause(Reason):
    after: PauseAfter = "tile"


class Again(Reason):
    """One tile of the run, by its number in the plan; its exposure is the plan's times `exposure_factor`."""

    tile: Annotated[Whole, Field(ge=0, lt=MOST_TILES, examples=[12])]
    exposure_factor: Annotated[ExposureFactor, Field(description="1..10, without a unit.", examples=[4.0])] = 1.0


NO_REASON = Reason()
AFTER_THE_TILE = Pause()


@router.get("")
def list_jobs(service: ServiceOf) -> dict[str, Any]:
    """What is over, as it ended; what runs; what is to come, as it will run."""
    found = service.queue.listing()
    jobs = [_facts(service, job) for job in found.jobs]
    return {"queue_version": found.version, "jobs": jobs, "damaged": found.damaged}


@router.post("", status_code=201)
def add_job(new: NewJob, service: ServiceOf, response: Response) -> dict[str, Any]:
    """Check a plan against the rig as far as that goes without moving it, and queue it."""
    settings = service.settings_for(None)
    plan, window = plan_for(new.plan, settings), _window(new.window)
    job = submit(service.queue, service.folder, plan, settings, None, new.start_at, window, files=False)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return _facts(service, job)


@router.get("/{job_id}")
def get_job(job_id: int, service: ServiceOf) -> dict[str, Any]:
    """One job, removed or not, with its plan."""
    job = service.queue.get(job_id)
    return _facts(service, job) | {"plan": job.plan}


@router.patch("/{job_id}")
def change_job(job_id: int, wanted: JobChanges, service: ServiceOf) -> dict[str, Any]:
    """Say anew when a waiting job may run, or before which others."""
    changes = Changes()
    if wanted.position is not None:
        changes["position"] = wanted.position
    if "start_at" in wanted.model_fields_set:
        changes["start_at"] = wanted.start_at
    if "window" in wanted.model_fields_set:
        changes["window"] = _window(wanted.window)
    return _facts(service, service.queue.edit(job_id, wanted.queue_version, **changes))


@router.delete("/{job_id}", status_code=204)
def remove_job(job_id: int, service: ServiceOf) -> None:
    """Take a job that does not run off the list; what it acquired stays."""
    service.queue.remove(job_id)


@router.post("/{job_id}/pause", status_code=202)
def pause(job_id: int, service: ServiceOf, wanted: Pause = AFTER_THE_TILE) -> dict[str, Any]:
    """Wait with the rig safe: now, or after the tile or the row under way."""
    return _tell(service, job_id, "pause", wanted.reason, wanted.after)


@router.post("/{job_id}/resume", status_code=202)
def go_on(job_id: int, service: ServiceOf) -> dict[str, Any]:
    """Go on after a pause, unless an interlock holds."""
    return _tell(service, job_id, "resume")


@router.post("/{job_id}/skip", status_code=202)
def skip(job_id: int, service: ServiceOf, wanted: Reason = NO_REASON) -> dict[str, Any]:
    """Give up the tile that is tried or has just failed, while paused the next one; several count as one.

    In a sweep no tile is given up, but the sweep: its tiles are then taken one by one.
    """
    return _tell(service, job_id, "skip", wanted.reason)


@router.post("/{job_id}/retake", status_code=202)
def retake(job_id: int, wanted: Again, service: ServiceOf, caller: CallerOf) -> dict[str, Any]:
    """Take a tile again before the run ends; where that gives no frame that is good enough, the one before stays."""
    with _told_of_none(service, job_id):
        running = service.listening(job_id, "take a tile again")
    if running.desk is None:
        raise JobRefused(f"job {job_id}: too early to take a tile again: it does not acquire yet")
    why = f"asked for by {caller.name}" + (f": {wanted.reason}" if wanted.reason else "")
    running.desk.ask(wanted.tile, wanted.exposure_factor, why)
    return service.status()


@router.post("/{job_id}/stop", status_code=202)
def finish(job_id: int, service: ServiceOf, wanted: Reason = NO_REASON) -> dict[str, Any]:
    """End the run now and cleanly; the next job begins."""
    return _tell(service, job_id, "stop", wanted.reason)


@router.post("/{job_id}/abort", status_code=202)
def abort(job_id: int, service: ServiceOf, wanted: Reason = NO_REASON) -> dict[str, Any]:
    """End the run now, as failed; the next job begins."""
    return _tell(service, job_id, "abort", wanted.reason)


def _tell(service: Service, job_id: int, verb: Verb, reason: str = "", after: PauseAfter = "tile") -> dict[str, Any]:
    with _told_of_none(service, job_id):
        service.tell(job_id, verb, after, reason or f"{verb} over HTTP")
    return service.status()


@contextmanager
def _told_of_none(service: Service, job_id: int) -> Iterator[None]:
    """Say of a job that does not run if there is none of this number."""
    try:
        yield
    except NotRunning:
        service.queue.get(job_id)
        raise


def _facts(service: Service, job: Job) -> dict[str, Any]:
    return job_facts(job, utc_clock()) | {"doing": service.doing(job)}


def _window(text: str | None) -> TimeWindow | None:
    return None if text is None else TimeWindow.parse(text)
