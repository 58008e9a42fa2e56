"""That everything was stopped: at once in memory, on the disk before anybody is told so, until the queue knows it."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from acquisition.durable import write_durably
from acquisition.job import JobState
from acquisition.queue import Queue
from acquisition.queue_errors import QueueError
from api.errors import UsageError


@dataclass(frozen=True)
class _Stop:
    number: int
    reason: str
    job: int | None  # that it ended


class Halt:
    """The last stop that the queue may not know of. Nothing that waits for the disk keeps a stop waiting."""

    def __init__(self, path: Path) -> None:
        """Find what a service that died had acknowledged, in a file of its data folder."""
        self._path = path
        self._memory, self._disk = threading.Lock(), threading.Lock()
        self._last = _read(path)
        self.stops = 0 if self._last is None else self._last.number
        """How often everything was stopped."""
        self.reason = None if self._last is None else self._last.reason
        """Why; until the queue is held for it."""
        self.trouble: UsageError | None = None
        """Why a stop would not outlive the service."""

    def stop(self, reason: str, job: int | None) -> None:
        """Let nothing begin; `job` runs, and is told to end."""
        with self._memory:
            if job is None and self._last is not None:
                job = self._last.job
            self.stops += 1
            self.reason = reason
            self._last = _Stop(self.stops, reason, job)

    def write_down(self) -> None:
        """Return once the last stop would outlive the service, or `trouble` says why it would not."""
        with self._disk:
            if (last := self._last) is None:
                return
            try:
                write_durably(self._path, json.dumps({"reason": last.reason, "job": last.job}))
                self.trouble = None
            except OSError as error:
                words = "the stop is lost if the service dies before the queue knows of it"
                self.trouble = UsageError(f"{self._path}: {error.strerror}; {words}")

    def ended(self, job: int) -> bool:
        """Whether a job was ended by a stop that the queue may not know of."""
        return self._last is not None and self._last.job == job

    def held(self, stops: int) -> None:
        """The queue is held, or released, for all stops up to this one."""
        with self._memory:
            if self.stops == stops:
                self.reason = None

    def forget_if_known(self, queue: Queue) -> None:
        """Take the file away once the queue knows as much: that it is held, and how the job ends.

        Raises:
            QueueError: the queue does not answer.
        """
        last = self._last
        if last is not None and queue.held() is not None and (last.job is None or _has_ended(queue, last.job)):
            self.forget(last.number)

    def forget(self, stops: int) -> None:
        """Take the file away, unless everything was stopped once more than that."""
        with self._disk:
            with self._memory:
                if self._last is None or self._last.number > stops:
                    return
                self._last = self.trouble = None
            self._path.unlink(missing_ok=True)


def _has_ended(queue: Queue, job_id: int) -> bool:
    try:
        job = queue.get(job_id)
    except QueueError:  # of a damaged job the file remembers more
        return False
    return job.state is not JobState.RUNNING or job.ending is not None


def _read(path: Path) -> _Stop | None:
    try:
        found = json.loads(path.read_text())
        return _Stop(1, str(found["reason"]), None if found["job"] is None else int(found["job"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return _Stop(1, f"stopped; why is lost, for {path} is damaged", None)
