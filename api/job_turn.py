"""One job on its rig: its run begun, or gone on with, to the end; whatever goes wrong there ends no service."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from acquisition.job import Job
from acquisition.plan import Plan
from acquisition.readiness import InterlocksStand
from acquisition.states import Outcome
from api.data_folder import DataFolder
from api.errors import BAD_INPUT, in_one_line, say
from api.rig_care import RigCare
from api.running_job import RunningJob
from api.safe_rig import make_rig_safe
from api.scan import needs_somebody, opened_for, resume, scan
from api.untold import tell_unbegun
from api.wishes import Wishes
from devices.errors import DeviceError
from devices.rig import RigSettings

RESUMED = partial(resume, waits_for_rig=True)


@dataclass(frozen=True)
class RigWork:
    """What is done with a rig; tests put something quicker in its place."""

    scan: Callable[..., tuple[Outcome, Mapping[str, Any]]] = scan
    resume: Callable[..., tuple[Outcome, Mapping[str, Any]]] = RESUMED
    make_safe: Callable[[RigSettings], None] = make_rig_safe


ON_THE_RIG = RigWork()


class JobTurn:
    """Runs one claimed job after the other, for the engine's thread; a rig on which one fails is suspect then."""

    def __init__(self, folder: DataFolder, rigs: RigCare, wishes: Wishes, work: RigWork, world_url: str | None) -> None:
        """Take note of where runs lie, and how jobs were told to wait; `world_url` as of the service."""
        self._folder = folder
        self._rigs = rigs
        self._wishes = wishes
        self._work = work
        self._world_url = world_url
        self.tellers: Sequence[threading.Thread] = ()
        """Of the last failure of which no run could tell; each ends by itself."""

    def acquire(self, running: RunningJob) -> tuple[Outcome, str | None]:
        """Run a job to its end; how it ended, and what went wrong.

        Raises:
            InterlocksStand: it may not begin, or go on, yet.
        """
        if running.told.stopped:
            return Outcome.STOPPED, None
        settings, by_hand = None, self._rigs.by_hand
        try:
            settings = self._rigs.taken_for(running.job.rig)
            running.devices = opened_for(settings)
            taken_by = f"job {running.job.id} ({running.job.name}) has it"
            with by_hand.away(taken_by), by_hand.heard.asking():
                outcome = self._begin_or_go_on(running, settings)
            return outcome, (running.told.why_ends or None) if outcome is not Outcome.COMPLETED else None
        except InterlocksStand as stands:
            if isinstance(
                stands.__cause__, DeviceError
            ):  # the rig is away: made safe before anything else, if it is back
                self._rigs.suspect(settings)
            raise
        except Exception as error:
            self._rigs.suspect(settings)
            say(f"job {running.job.id} ({running.job.name}): {in_one_line(error)}")
            if settings and not running.goes_on_later:
                self._tell_if_unbegun(running.job, settings, error)
            return Outcome.FAILED, in_one_line(error)

    def _tell_if_unbegun(self, job: Job, settings: RigSettings, error: Exception) -> None:
        """Tell people of a failure of which no run could; the rig is made safe meanwhile."""
        assert job.run is not None
        run = self._folder.run(job.run)
        if isinstance(error, BAD_INPUT) or not (run / "run.json").exists():
            self.tellers = tell_unbegun(job.name, job.plan, settings, run, in_one_line(error))

    def _begin_or_go_on(self, running: RunningJob, settings: RigSettings) -> Outcome:
        job = running.job
        assert job.run is not None
        run = self._folder.run(job.run)
        if (why := self._wishes.of(job.run).pause) is not None:
            running.told.pause("now", why)
        if (run / "run.json").exists():
            if (reason := self._wishes.lost(job.run) or needs_somebody(run)) is not None:
                running.told.pause("now", reason)
            outcome, _ = self._work.resume(run, settings, running.told, running.watcher(), world_url=self._world_url)
            return outcome
        self._folder.clear(job.run)
        self._wishes.begin(job.run)
        plan = Plan.model_validate(job.plan)
        outcome, _ = self._work.scan(plan, settings, run, running.told, running.watcher(), world_url=self._world_url)
        return outcome
