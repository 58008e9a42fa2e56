"""The rig that a service works: which one it is, and that it is made safe before anything else is done with it."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from acquisition.job import Job
from acquisition.queue_errors import QueueError
from api.errors import RigUnknown, UsageError, in_one_line, say
from api.hand.by_hand import ByHand
from api.scan import opened_for
from devices.errors import DeviceError
from devices.model import FileError
from devices.rig import RigSettings
from devices.rig_lock import RigInUse

UNSAFE = "the rig may not be safe yet: a run ended badly on it, and it is being made safe"


class RigCare:
    """The service's own rig, that of the last job, and one that may not be safe."""

    def __init__(self, own: Path | None, make_safe: Callable[[RigSettings], None]) -> None:
        """Touch nothing yet.

        Args:
            own: the rig file for jobs that name none.
            make_safe: stops what moves on a rig, and retracts its probe.
        """
        self._own_path = own
        self._make_rig_safe = make_safe
        self.by_hand = ByHand(self._at_hand)
        self._making_safe = threading.Lock()
        self._left_seen = False  # whether the queue has said which rig was left behind
        self._suspect: RigSettings | None = None
        self._latest: RigSettings | None = None  # the rig of the last job

    def settings_for(self, rig: str | None) -> RigSettings:
        """The rig on which a job runs.

        Raises:
            UsageError: neither the job nor the service names one.
            RigFileError: its file cannot be read.
        """
        path = rig or self._own_path
        if path is None:
            raise UsageError("rig: the job names none, and the service was started without --rig")
        return RigSettings.load(path)

    def taken_for(self, rig: str | None) -> RigSettings:
        """As `settings_for`, of a job that is run now."""
        self._latest = self.settings_for(rig)
        return self._latest

    def suspect(self, settings: RigSettings | None) -> None:
        """Have a rig made safe before anything else is done; None: there is none to make safe."""
        self._suspect = settings

    @property
    def trouble(self) -> str | None:
        """What people are told while nothing else is said of a rig that may not be safe."""
        return UNSAFE if self._suspect is not None else None

    def see_to(self, left_behind: Callable[[], Sequence[Job]]) -> None:
        """Make a rig safe that may not be; before anything else, for a database may take no writes all night.

        Args:
            left_behind: asks the queue for the jobs that ran when this service died.

        Raises:
            RigInUse, DeviceError: it is not safe yet.
        """
        if not self._left_seen:
            self._suspect_what_was_left(left_behind)
        if self._suspect is not None:
            self._make_safe(self._suspect)
            self._suspect = None

    def make_safe(self) -> None:
        """Stop and retract the rig of the last job, or the service's own if none has run yet; as long as no job does.

        Raises:
            RigInUse: another process moves it, and cannot be stopped from here.
            RigUnknown: no job has run yet, and the service has no rig of its own.
            RigFileError: its file cannot be read.
            DeviceError: it does not answer, or not well.
        """
        try:
            self._make_safe(self._latest or self._own())
        except RigInUse as error:
            error.add_note("it cannot be stopped from here, end that process; the queue is held")
            raise
        except (DeviceError, RigUnknown) as error:
            error.add_note("the queue is held")
            raise

    def give_up(self) -> str:
        """Make our own rig safe before we give up: a job may have run on it when we died; what came of it."""
        if self._own_path is None:
            return "the service has no rig of its own to make safe"
        try:
            self._make_rig_safe(self._own())
        except (DeviceError, FileError, RigInUse) as error:
            return f"the rig could not be made safe: {in_one_line(error)}"
        return "the rig was made safe"

    def _suspect_what_was_left(self, left_behind: Callable[[], Sequence[Job]]) -> None:
        """The probe of a job that ran when this service died may be down; our own, while the queue cannot say whose."""
        try:
            left = left_behind()
        except QueueError:
            if self._latest is None and self._own_path is not None:
                self._suspect = self._latest = self._own()
            return
        self._left_seen = True
        for job in left:
            try:
                self._suspect = self.taken_for(job.rig)
            except (FileError, UsageError) as error:
                say(f"job {job.id} ({job.name}): the rig cannot be made safe: {in_one_line(error)}")

    def _make_safe(self, settings: RigSettings) -> None:
        # the engine, and whoever stops everything, one after the other
        with self._making_safe, self.by_hand.away("it is made safe"), self.by_hand.heard.asking(*opened_for(settings)):
            self._make_rig_safe(settings)

    def _own(self) -> RigSettings:
        if self._own_path is None:
            raise RigUnknown("rig: the service was started without --rig, and no job has run yet")
        return RigSettings.load(self._own_path)

    def _at_hand(self) -> RigSettings:
        """That of people between two jobs: the service's own, or that of the last job."""
        return self._latest if self._own_path is None and self._latest is not None else self._own()
