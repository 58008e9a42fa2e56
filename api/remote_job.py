"""A job of a service, from another process: wait for it, and tell it."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from acquisition.instructions import PauseAfter
from acquisition.job import JobState
from acquisition.states import Outcome
from api import answers
from api.remote import POLL_S, Connection, NanorasterError
from api.remote_run import Run

PATIENCE_S = 60.0  # a service that is started again goes on with its job


@dataclass(frozen=True)
class Progress:
    """How far a job is: tiles taken, planned and in the mosaic; None before it began, and once it is over."""

    job: answers.JobAnswer
    tiles: answers.Progress | None


def print_progress(progress: Progress) -> None:
    """Say on stderr, in one line that is written over, how far a job is."""
    job, tiles = progress.job, progress.tiles
    said = f"{tiles.tiles} of {tiles.planned} tiles, {tiles.placed} in the mosaic" if tiles else ""
    end = "\n" if job.state is JobState.DONE else ""
    sys.stderr.write(f"\rjob {job.id} ({job.name}): {job.outcome or job.doing} {said}\x1b[K{end}")
    sys.stderr.flush()


class Job:
    """A plan in the queue."""

    def __init__(self, connection: Connection, number: int, data: Path | None) -> None:
        self.id = number
        self._connection = connection
        self._data = data

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    def facts(self) -> answers.JobWithPlan:
        """Its state, its plan, and what came of it."""
        return self._connection.get(answers.JobWithPlan, f"/jobs/{self.id}")

    @property
    def run(self) -> "Run":
        """What it acquires.

        Raises:
            NanorasterError: it has not begun.
        """
        name = self.facts().run
        if name is None:
            raise NanorasterError(f"job {self.id}: it has not begun, and has no run")
        return Run(self._connection, name, self._data)

    def wait(self, progress: Callable[[Progress], None] | None = None, timeout_s: float | None = None) -> "Job":
        """Return once it is over: completed, or stopped by somebody.

        A service that does not answer is given time to be started again, for the job goes on then.

        Args:
            progress: hears twice a second how far it is, and once how it ended.

        Raises:
            NanorasterError: it failed or was removed, or the service is gone.
            TimeoutError: it is not over yet; it goes on.
        """
        began_s = answered_s = time.monotonic()
        while True:
            try:
                facts, tiles = self.facts(), self._progress()
            except NanorasterError as error:
                if error.status is not None or time.monotonic() - answered_s > PATIENCE_S:
                    raise
            else:
                answered_s = time.monotonic()
                if progress is not None:
                    progress(Progress(facts, tiles))
                if facts.state in (JobState.DONE, JobState.REMOVED):
                    return self._ended(facts)
            if timeout_s is not None and time.monotonic() - began_s > timeout_s:
                raise TimeoutError(f"job {self.id} is not over after {timeout_s:g} s")
            time.sleep(POLL_S)

    def _progress(self) -> answers.Progress | None:
        now = self._connection.get(answers.Status, "/status")
        return now.progress if now.job is not None and now.job.id == self.id else None

    def _ended(self, facts: answers.JobAnswer) -> "Job":
        if facts.state is JobState.REMOVED:
            raise NanorasterError(f"job {self.id} was removed")
        if facts.outcome is Outcome.FAILED:
            raise NanorasterError(f"job {self.id} failed: {facts.error}")
        return self

    def pause(self, after: PauseAfter = "tile", reason: str = "") -> None:
        """Wait with the rig safe: now, or after the tile or the row under way."""
        self._tell("pause", {"after": after, "reason": reason})

    def resume(self) -> None:
        """Go on after a pause."""
        self._tell("resume")

    def skip(self, reason: str = "") -> None:
        """Give up the tile that is tried, while paused the next one."""
        self._tell("skip", {"reason": reason})

    def take_again(self, tile: int, exposure_factor: float = 1.0, reason: str = "") -> None:
        """Take a tile again before the run ends, exposed so many times as long as planned.

        Raises:
            NanorasterError: there is no such tile, it is not taken yet, or the run takes no more.
        """
        self._tell("retake", {"tile": tile, "exposure_factor": exposure_factor, "reason": reason})

    def stop(self, reason: str = "") -> None:
        """End the run now and cleanly; the next job begins."""
        self._tell("stop", {"reason": reason})

    def abort(self, reason: str = "") -> None:
        """End the run now, as failed; the next job begins."""
        self._tell("abort", {"reason": reason})

    def remove(self) -> None:
        """Take it off the queue, unless it runs."""
        self._connection.ask("DELETE", f"/jobs/{self.id}")

    def _tell(self, verb: str, body: Mapping[str, object] | None = None) -> None:
        self._connection.ask("POST", f"/jobs/{self.id}/{verb}", body)
