"""The service: takes the next due job off the queue, runs it, takes the next; for months, and after every crash.

Two threads: the *engine's* runs one job after the other, the *clerk's* keeps the books meanwhile (what the running job
does, whether its window is still open). Whatever they cannot do now is said once, and tried again.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from acquisition.instructions import PauseAfter
from acquisition.job import Job, JobState
from acquisition.queue import utc_clock
from acquisition.queue_errors import JobRefused, NotRunning, QueueError
from acquisition.readiness import InterlocksStand, interlocks_now
from acquisition.states import Outcome, State
from api.about_to_resume import about_to_resume
from api.data_folder import DataFolder, Occupied
from api.errors import UsageError, in_one_line, say
from api.halt import Halt
from api.job_turn import ON_THE_RIG, JobTurn, RigWork
from api.open_queue import open_queue
from api.rig_care import RigCare
from api.running_job import RunningJob
from api.scan import lacks_its_mosaic
from api.twin import World
from api.wishes import Wish, Wishes
from devices.model import FileError
from devices.rig import RigSettings

POLL_S = 0.25  # how soon a job is noticed; a look at an idle queue costs 0.2 ms
AGAIN_S = 5.0  # between two tries at what failed: a locked database, a rig that does not answer
ENDING = "the service ends"
GONE_BEFORE = (
    "told to end; the service was gone before it had: its mosaic may lack tiles, `nanoraster reconstruct` makes another"
)
END_S = 4.0  # for the engine to leave the rig safe; the rest of the 5 s that systemd is promised is for the API

NOTHING_RUNS: dict[str, object] = {
    "job": None,
    "progress": None,
    "pause_pending": False,
    "waits_because": None,
    "ending": None,
    "retakes": None,
}

Verb = Literal["pause", "resume", "skip", "stop", "abort"]


class Service:
    """A queue and the rig that works it off; a context manager that begins and ends the work."""

    def __init__(
        self,
        folder: DataFolder,
        rig: Path | None = None,
        database: str | None = None,
        world_url: str | None = None,
        clock: Callable[[], datetime] = utc_clock,
        work: RigWork = ON_THE_RIG,
    ) -> None:
        """Take hold of the folder and open the queue; nothing is begun yet.

        Args:
            rig: the rig file for jobs that name none.
            database: URL of the queue; by default it lies in the folder.
            world_url: of the twin's world, to compare with.

        Raises:
            UsageError: another service is at work there, or the URL cannot be used.
            QueueError: the database does not answer.
        """
        self.folder = folder
        self.rig = rig
        self._world_url = world_url
        self._clock = clock
        self._rigs = RigCare(rig, work.make_safe)
        self.by_hand = self._rigs.by_hand
        with ExitStack() as opening:
            folder.make()
            self._hold = Occupied(folder)
            opening.callback(self._hold.release)
            try:
                self.queue = opening.enter_context(open_queue(folder, database, clock))
            except QueueError as error:
                error.add_note(self._rigs.give_up())
                raise
            self._opened = opening.pop_all()
        self._halt = Halt(folder.stopped)
        about = about_to_resume(self.queue, self._hold.name, self._halt, clock())
        self._resuming = RunningJob(about, self.by_hand.heard) if about else None  # until the first look is over
        self._end = threading.Event()
        self._leave_by = float("inf")
        self._changing = threading.Lock()
        self._holding = threading.Lock()  # a release waits for a hold that was told before it, and is written after it
        self._running: RunningJob | None = None
        self._wishes = Wishes(folder.wishes)
        self._turn = JobTurn(folder, self._rigs, self._wishes, work, world_url)
        self._held: str | None = None  # as the queue says
        self._unwritten: Callable[[], None] | None = self._give_back_what_was_left
        self._unmade: list[Job] = []  # left behind with all their tiles, and told to end, while their mosaics were made
        self._troubles: dict[str, Exception] = {}
        self._threads = [
            threading.Thread(target=self._repeat, args=(who, step), name=who, daemon=True)
            for who, step in (("engine", self._take_next), ("clerk", self._keep_books))
        ]

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self) -> None:
        """Go on with what was interrupted, then with what is due."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """`end`, and wait until the rig is safe; see `over`."""
        self.end()
        self.by_hand.close()
        for thread in (*self._threads, *self._turn.tellers):
            thread.join(max(0.0, self._leave_by - time.monotonic()))
        if self.over:
            self._opened.close()

    def end(self) -> None:
        """Begin no job any more, and interrupt the one that runs; returns at once. Safe in a signal handler."""
        self._leave_by = min(self._leave_by, time.monotonic() + END_S)
        self._end.set()
        if (running := self._running) is not None:
            running.interrupt(ENDING)

    @property
    def over(self) -> bool:
        """Whether all work has ended; after `END_S` it may still wait for a mosaic, which the next start makes anew."""
        return not any(thread.is_alive() for thread in self._threads)

    def status(self) -> dict[str, Any]:
        """What goes on now. Reads memory alone: it may be asked as often as anybody likes."""
        shown = self._running or self._resuming
        return {
            "state": shown.state if shown else State.IDLE,
            **(shown.facts() if shown else NOTHING_RUNS),
            "held": self._halt.reason or self._held,
            "troubles": self._in_the_way(),
            "rig": self.rig,
        }

    def _in_the_way(self) -> list[str]:
        running = self._running
        past = "engine" if running and running.state is not State.PREPARING else None  # it kept this run from beginning
        standing = [trouble for who, trouble in list(self._troubles.items()) if who != past]
        said = [in_one_line(trouble) for trouble in (*standing, self._halt.trouble, self._wishes.trouble) if trouble]
        return said or [trouble for trouble in (self._rigs.trouble,) if trouble]

    def running(self) -> RunningJob | None:
        """The job under way."""
        return self._running

    def doing(self, job: Job) -> State:
        """What a job does at this moment."""
        shown = self._running or self._resuming
        return shown.state if shown and shown.job.id == job.id else State.IDLE

    def tell(self, job_id: int, verb: Verb, after: PauseAfter = "tile", reason: str = "") -> None:
        """Tell the running job something; what outlives the tile under way outlives the service by the time it returns.

        Raises:
            NotRunning: it is not the one that runs.
            JobRefused: it ends, and nothing that it is told could change that.
        """
        running = self.listening(job_id, verb)
        match verb:
            case "pause":
                running.told.pause(after, reason)
            case "resume":
                running.told.resume()
            case "skip":
                running.told.skip(reason)
            case "stop":
                running.stop(reason)
            case "abort":
                running.abort(reason)
        if verb != "skip":
            assert running.job.run is not None
            self._wishes.keep(running.job.run, Wish(running.ending, running.told.needs_somebody))

    def listening(self, job_id: int, to: str) -> RunningJob:
        """The running job, if it can still be told `to` do something.

        Raises:
            NotRunning, JobRefused: as `tell`.
        """
        running = self._running
        if running is None or running.job.id != job_id:
            raise NotRunning(f"job {job_id}: it is not running")
        if running.state is State.FINISHING:
            raise JobRefused(f"job {job_id}: too late to {to}: acquiring is over, its mosaic is being made")
        if running.told.stopped and to not in ("stop", "abort"):
            raise JobRefused(f"job {job_id}: too late to {to}: it has been told to end")
        return running

    def stop(self, reason: str) -> bool:
        """End the running job with the rig safe, and let none begin until `release`, not even after a new start.

        Returns at once; whether a job runs. If none does, nobody has stopped the rig yet: `make_safe` does. Nobody may
        be told so before `write_down_stop`.
        """
        with self._changing:
            running = self._running
            self._halt.stop(reason, running.job.id if running else None)
        if running is not None:
            running.stop(reason)
        return running is not None

    def write_down_stop(self) -> None:
        """Return once a new start would know of the last stop; `troubles` say if none would."""
        self._halt.write_down()
        if (running := self._running) is not None and running.ending is not None and running.job.run is not None:
            # beyond a release, which lets others begin
            self._wishes.keep(running.job.run, Wish(running.ending, running.told.needs_somebody))

    def make_safe(self) -> None:
        """Stop and retract the rig of the last job, or the service's own if none has run yet; as long as no job does.

        Raises:
            RigInUse: another process moves it, and cannot be stopped from here.
            RigUnknown: no job has run yet, and the service has no rig of its own.
            RigFileError: its file cannot be read.
            DeviceError: it does not answer, or not well.
        """
        self._rigs.make_safe()

    def release(self) -> None:
        """Let jobs begin again, unless everything is stopped once more meanwhile.

        Raises:
            QueueError: the database does not answer; nothing begins.
        """
        stops = self._halt.stops
        with self._holding:
            self.queue.release()
            self._held = None
            self._halt.held(stops)
        self._halt.forget(stops)

    def settings_for(self, rig: str | None) -> RigSettings:
        """The rig on which a job runs.

        Raises:
            UsageError: neither the job nor the service names one.
            RigFileError: its file cannot be read.
        """
        return self._rigs.settings_for(rig)

    @property
    def world(self) -> World | None:
        """That of the twin which this service was started with; None: the rig is a real one, or another's twin."""
        return World(self._world_url) if self._world_url else None

    def _give_back_what_was_left(self) -> None:
        """Jobs that this service ran when it died go on first; those that were told to end have ended.

        Of one that had all its tiles the mosaic is still made, even while everything is stopped: that moves nothing.
        """
        unmade = []
        for job in self.queue.running(self._hold.name):
            ending = self._told_ending(job)
            if ending is None:
                self.queue.interrupt(job.id, "the service was gone")
            elif job.run is not None and lacks_its_mosaic(self.folder.run(job.run)):
                unmade.append(job)
            else:
                self._finish(job, ending, GONE_BEFORE, self._tiles_of(job))
        self._unmade = unmade

    def _told_to_end(self, job: Job) -> RunningJob:
        """A job of which nothing but the mosaic is left to make."""
        running = RunningJob(job, self.by_hand.heard)
        running.ending = self._told_ending(job)
        return running

    def _told_ending(self, job: Job) -> Outcome | None:
        """How somebody told a job to end that was left behind."""
        halted = Outcome.STOPPED if self._halt.ended(job.id) else None
        return job.ending or self._wishes.of(job.run).ending or halted

    def _repeat(self, who: str, step: Callable[[], bool]) -> None:
        """Take one step after the other until the service ends; what stands in the way is said once."""
        while not self._end.is_set():
            try:
                pause_s = 0.0 if step() else POLL_S
                self._troubles.pop(who, None)
            except Exception as error:  # a locked database, a dead rig, a bug: the service outlives them all
                pause_s = AGAIN_S
                if type(self._troubles.get(who)) is not type(error):
                    say(in_one_line(error))
                self._troubles[who] = error
            self._end.wait(pause_s)

    def _take_next(self) -> bool:
        """Run the next due job, if there is one; whether there was something to do."""
        try:
            return self._look_for_next()
        finally:
            self._resuming = None

    def _look_for_next(self) -> bool:
        try:
            self._rigs.see_to(left_behind=partial(self.queue.running, self._hold.name))
        except Exception:
            with suppress(QueueError):  # the rig is what people are told of; this is tried again
                self._write_down()
            raise
        self._write_down()
        stops = self._halt.stops
        if self._unmade:
            self._run(self._told_to_end(self._unmade.pop(0)), stops)
            return True
        job = self.queue.next_due() if self._halt.reason is None else None
        if job is None:
            return False
        self._ask_interlocks(job)
        run = job.run or self.folder.new_run(job.name, self._clock())
        claimed = self._claim(job, run)
        if claimed is not None:
            self._wishes.move(_unbegun(job), to=run)
            self._run(RunningJob(claimed, self.by_hand.heard), stops)
        return True

    def _ask_interlocks(self, job: Job) -> None:
        """Leave a job where it is while an interlock stands against it, as far as that shows without opening the rig.

        Raises:
            InterlocksStand: it does.
        """
        try:
            settings = self.settings_for(job.rig)
        except (FileError, UsageError):
            return  # it fails by that once it is run
        begun = job.state is JobState.INTERRUPTED
        if reasons := interlocks_now(settings, self.folder.runs, begun=begun)[0]:
            raise InterlocksStand([f"job {job.id} ({job.name}) waits: {reason}" for reason in reasons])

    def _claim(self, job: Job, run: str) -> Job | None:
        claimed = None
        self._unwritten = self._give_back_what_was_left  # an error may mean that the claim stands, its answer lost
        try:
            claimed = self.queue.claim(job.id, self._hold.name, run)
        finally:
            if claimed is None:
                self.folder.clear(run)
        self._unwritten = None
        return claimed

    def _run(self, running: RunningJob, stops: int) -> None:
        """Run a job that was claimed; gives it back if everything has been stopped more than `stops` times by now."""
        with self._changing:
            self._running, self._resuming = running, None
            halted = self._halt.stops > stops
        if running.ending is None and (halted or self._end.is_set()):  # a mosaic moves nothing
            running.interrupt("stopped before it began")
        barred: InterlocksStand | None = None
        try:
            outcome, error = self._turn.acquire(running)
        except InterlocksStand as stands:
            outcome, error, barred = running.ending or Outcome.STOPPED, None, stands
        if barred and running.ending is None:
            self._unwritten = partial(self._give_back, running.job, in_one_line(barred))
        elif running.goes_on_later and outcome is not Outcome.COMPLETED:
            self._unwritten = lambda: self.queue.interrupt(running.job.id, running.interruption)
        else:
            tiles = self._tiles_of(running.job)
            self._unwritten = lambda: self._finish(running.job, outcome, error, tiles)
        if not barred:
            self._troubles.pop("engine", None)
        self._running = None
        self._write_down()
        if barred:
            raise barred  # nor may the next job

    def _give_back(self, job: Job, reason: str) -> None:
        """Let a job wait that could not begin, or go on."""
        assert job.run is not None
        if (self.folder.run(job.run) / "run.json").exists():
            self.queue.interrupt(job.id, reason)
        else:
            self._wishes.move(job.run, to=_unbegun(job))
            self.queue.give_back(job.id, reason)
            self.folder.clear(job.run)

    def _finish(self, job: Job, outcome: Outcome, error: str | None, tiles: tuple[int, int] | None) -> None:
        self.queue.finish(job.id, outcome, error, tiles)
        self._wishes.forget(job.run)

    def _write_down(self) -> None:
        """Tell the queue what it has not been told yet: how the last job ended comes before the next begins."""
        if self._unwritten is not None:
            self._unwritten()
            self._unwritten = None

    def _tiles_of(self, job: Job) -> tuple[int, int] | None:
        return None if job.run is None else self.folder.tiles_of(job.run)

    def _keep_books(self) -> bool:
        """Write down what goes on, and see whether it still may; never has anything left to do."""
        running = self._running
        if running is not None:
            if running.outlived(self._clock()):
                running.interrupt(f"its window {running.job.window} has closed")
            if (now := (running.state, running.ending)) != running.noted:
                self.queue.note(running.job.id, *now)
                running.noted = now
        with self._holding:
            with self._changing:
                stops, halt = self._halt.stops, self._halt.reason
            if halt is not None:
                self.queue.hold(halt)
                self._held = halt  # before the halt goes, or for a moment neither would be told
                self._halt.held(stops)
            self._held = self.queue.held()
        self._halt.forget_if_known(self.queue)
        return False


def _unbegun(job: Job) -> str:
    """What stands for the run of a job that was given back, until it has another."""
    return f"job {job.id}"
