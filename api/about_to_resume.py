"""What a service that begins is about to go on with: until it has, it is not idle."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from acquisition.job import Job, JobState
from acquisition.queue import Queue
from acquisition.queue_errors import QueueError
from api.halt import Halt


def about_to_resume(queue: Queue, owner: str, halt: Halt, now: datetime) -> Job | None:
    """The job that `owner` left behind when it died, or another that was interrupted, and may go on now."""
    if halt.reason is not None:
        return None
    with suppress(QueueError):
        if queue.held() is not None:
            return None
        left = [replace(job, state=JobState.INTERRUPTED) for job in queue.running(owner) if not job.ending]
        going_on = (job for job in left if job.due(now) and not halt.ended(job.id))
        if (found := next(going_on, None) or queue.next_due()) is not None and found.state is JobState.INTERRUPTED:
            return found
    return None
