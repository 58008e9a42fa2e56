"""A job as the command line and the API show it."""

from datetime import datetime
from typing import Any

from acquisition.job import Job


def job_facts(job: Job, now: datetime) -> dict[str, Any]:
    """What people want to know of it, ready for JSON; `starts_at`: when it may run if nothing stands before it."""
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "doing": job.doing,
        "outcome": job.outcome,
        "error": job.error,
        "tiles": None if job.tiles_planned is None else {"ok": job.tiles_taken, "planned": job.tiles_planned},
        "rig": job.rig,
        "run": job.run,
        "start_at": _iso(job.start_at),
        "window": None if job.window is None else str(job.window),
        "starts_at": _iso(job.starts_at(now)) if job.waiting else None,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
