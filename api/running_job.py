"""The job under way, as the service sees it: how far it is, what it was told, how it is to end."""

from datetime import datetime
from typing import Any

from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.job import Job
from acquisition.journal import TOLD, Attempt
from acquisition.retakes import RetakeDesk
from acquisition.states import Outcome, State
from api.hand.heard import Heard
from api.scan import Watcher


class RunningJob:
    """Written to by the engine and by people's threads; read by anybody at any time, without a lock."""

    def __init__(self, job: Job, heard: Heard) -> None:
        self.job = job
        self._heard = heard
        self.told = Instructions()
        self.state = State.PREPARING
        self.ending: Outcome | None = None
        """How somebody told it to end."""
        self.interruption = ""
        """Why it is to be given back and gone on with later."""
        self.noted: tuple[State, Outcome | None] = State.IDLE, None
        """What of this the queue knows."""
        self.devices: tuple[str, ...] = ()
        """That were opened for it, and answered then."""
        self.taken_last: Attempt | None = None
        self.heart: Heartbeat | None = None
        """That the run shares with its guardian; rests on a rig without a probe."""
        self.desk: RetakeDesk | None = None
        """Where tiles are asked for once more; closed when acquiring is over."""
        self._planned = 0
        self._taken_before = 0
        self._taken: set[int] = set()
        self._placed = 0

    def watcher(self) -> Watcher:
        """Who listens to the scan."""
        return Watcher(
            self._started,
            self._acquired,
            self._is_now,
            self._placed_so_far,
            guarded=self._guarded,
            taking_again=self._taking_again,
        )

    def stop(self, reason: str) -> None:
        """Let it end cleanly; what was taken is made into a mosaic."""
        self.ending = self.ending or Outcome.STOPPED
        self.told.stop(reason)

    def abort(self, reason: str) -> None:
        """Let it end as failed."""
        self.ending = Outcome.FAILED
        self.told.abort(reason)

    def interrupt(self, reason: str) -> None:
        """Let it end for now, unless it was told to end for good; may be said again and again."""
        self.interruption = self.interruption or reason
        if not self.told.stopped:
            self.told.stop(reason, for_now=True)

    @property
    def goes_on_later(self) -> bool:
        """Whether it is to be given back when it ends, unless it completes."""
        return bool(self.interruption) and self.ending is None

    def outlived(self, now: datetime) -> bool:
        """Whether its window has closed."""
        return self.job.window is not None and not self.job.window.contains(now)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last tile failed, and nobody wanted it so."""
        last = self.taken_last
        return last is not None and last.verdict != "ok" and last.cause != TOLD

    def facts(self) -> dict[str, Any]:
        """For `status`."""
        return {
            "job": {"id": self.job.id, "name": self.job.name, "run": self.job.run, "started_at": self.job.started_at},
            "progress": {"tiles": self._tiles, "planned": self._planned, "placed": self._placed},
            "pause_pending": self.told.waiting and self.state is not State.PAUSED,
            "waits_because": self.told.why_waits or None if self.told.waiting else None,
            "ending": self.ending,
            "retakes": self.desk.numbers() if self.desk else [],
        }

    @property
    def _tiles(self) -> int:
        return min(self._taken_before + len(self._taken), self._planned)  # one of before may be taken again

    def _started(self, tiles: int, taken: int) -> None:
        self._planned, self._taken_before = tiles, taken

    def _acquired(self, attempt: Attempt) -> None:
        first, self.taken_last = self.taken_last is None, attempt
        if attempt.verdict == "ok":
            self._heard.well(*(self.devices if first else _asked(attempt)))
        if attempt.frame is not None:
            self._taken.add(attempt.tile)

    def _placed_so_far(self, said: dict[str, Any]) -> None:
        self._placed = said["placed"]

    def _guarded(self, heart: Heartbeat) -> None:
        self.heart = heart

    def _taking_again(self, desk: RetakeDesk) -> None:
        self.desk = desk

    def _is_now(self, state: State) -> None:
        self.state = state


def _asked(attempt: Attempt) -> tuple[str, ...]:
    """The devices that answered for a tile to be taken."""
    return ("scanner", "camera") if attempt.force_nn is None else ("scanner", "camera", "force")
