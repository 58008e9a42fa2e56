"""A job: a plan that waits for the rig, runs on it, or did."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from acquisition.states import Outcome, State
from acquisition.time_window import TimeWindow


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # goes on where it was, before any queued job is begun
    DONE = "done"
    REMOVED = "removed"


@dataclass(frozen=True)
class Job:
    """One line of the queue. Times are aware, in UTC."""

    id: int
    name: str
    plan: dict[str, Any]
    rig: str | None  # the rig file; None: that of the service
    position: int
    start_at: datetime | None
    window: TimeWindow | None
    state: JobState
    doing: State  # while it runs; else idle
    outcome: Outcome | None
    ending: Outcome | None  # how somebody told it to end, while it runs
    run: str | None  # the name of its run directory, given when it is begun
    owner: str | None  # the service that runs it
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None  # why it failed, was interrupted, or could not begin yet
    tiles_taken: int | None  # when it had ended; None: not yet, or it has no run
    tiles_planned: int | None

    @property
    def waiting(self) -> bool:
        return self.state in (JobState.QUEUED, JobState.INTERRUPTED)

    def due(self, now: datetime) -> bool:
        """Whether it may run at `now`."""
        return (
            self.waiting
            and (self.start_at is None or self.start_at <= now)
            and (self.window is None or self.window.contains(now))
        )

    def starts_at(self, now: datetime) -> datetime:
        """The first moment from `now` on at which it may run."""
        earliest = now if self.start_at is None else max(now, self.start_at)
        return earliest if self.window is None else self.window.next_open(earliest)


class Changes(TypedDict, total=False):
    """What can be changed about a job that waits. None lifts a limit."""

    position: int  # among those that wait; 0 is the next to run, beyond the end is the end
    start_at: datetime | None
    window: TimeWindow | None
