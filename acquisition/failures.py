"""What becomes of a tile at which something failed, by the plan's policy for that kind of failure."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeVar

from acquisition.force_errors import ForceError
from acquisition.instructions import Cut, Instructions
from acquisition.overlap import PlannedTile
from acquisition.plan import OnFailure
from devices.errors import DeviceError, DeviceLost, DeviceTimeout, ProtocolError, Stopped
from devices.troubles import overcome

T = TypeVar("T")
Action = Literal["retry", "skip", "pause", "abort"]

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 60.0
"""A rig at which tile after tile fails gets minutes to come back by itself before `consecutive` of them are spent."""

MOST_DOUBLINGS = 20  # of a wait: it has long been at its longest

COMES_BACK = ("timeout", "protocol", "lost")
"""Causes that a device has which is without power for a while; one that answers and refuses needs somebody."""
FIRST_COME_BACK_S, LONGEST_COME_BACK_S = 60.0, 600.0
"""Between two tries of a run that is paused for such a device: it is off for seconds, or until an hour is over."""


def given_up(failure: DeviceError) -> Cut:
    """What follows when something fails that was to be given up anyhow; a device that failed by itself is told of."""
    if not isinstance(failure, Stopped):
        overcome(failure)
    return Cut(str(failure))


@dataclass(frozen=True)
class Policy:
    """So many retries, and what then."""

    retries: int
    then: Action

    @classmethod
    def of(cls, words: str) -> "Policy":
        """Read `retry:3 then skip`, `retry:3`, or `skip`; see `plan.OnFailure`."""
        first, _, then = words.partition(" then ")
        if not first.startswith("retry:"):
            return cls(0, _action(first))
        return cls(int(first.removeprefix("retry:")), _action(then or "abort"))


class Failures:
    """Counts what failed, and says what to do about it."""

    def __init__(self, on_failure: OnFailure, told: Instructions) -> None:
        self._on_failure = on_failure
        self._told = told
        self._retries: Counter[tuple[int, str]] = Counter()
        self._skipped: Counter[int] = Counter()
        self._in_a_row: set[int] = set()
        self._disk_failed = self._since_success = 0
        self._tries = 0  # how often the run has paused to try again by itself since a tile was taken
        self._away_since_s: float | None = None

    def action(self, tile: PlannedTile, failure: DeviceError) -> Action:
        """What to do about a tile that was not taken."""
        cause = cause_of(failure)
        policy = self._policy(cause)
        self._since_success += 1
        if self._retries[tile.index, cause] < policy.retries:
            self._retries[tile.index, cause] += 1
            return "retry"
        self._in_a_row.add(tile.index)
        if len(self._in_a_row) >= self._on_failure.consecutive or policy.then == "pause":
            return self._pause_or_abort(failure)
        if policy.then == "skip":
            self._skipped[tile.index] += 1
        return policy.then

    def may_come_back(self, tile: PlannedTile) -> bool:
        """Whether a skipped tile is tried again at the end: once."""
        return self._skipped[tile.index] == 1

    def wait_s(self) -> float:
        """How long to wait after a failure: twice as long as after the one before, until something is taken."""
        return _wait_s(self._since_success)

    def disk_failed(self, failure: OSError) -> None:
        """Wait until what could not be stored may be tried again; returns then.

        Raises:
            Cut: the run is to pause until there is space again, or was told something else.
            OSError: `failure`; the policy is to abort.
        """
        self._disk_failed += 1
        policy = self._policy("disk")
        if self._disk_failed % (policy.retries + 1):  # anew after each pause
            self._told.wait(_wait_s(self._disk_failed % (policy.retries + 1)))
            return
        if policy.then == "abort" or self._pause_or_abort(failure) == "abort":
            raise failure
        self.pause(failure)
        raise Cut(str(failure)) from failure

    @property
    def disk_fails(self) -> bool:
        """Whether something still waits for the disk to take it."""
        return self._disk_failed > 0

    def stored(self) -> None:
        """Take note that the disk takes what it is given."""
        self._disk_failed = 0

    def went_well(self, tile: PlannedTile) -> bool:
        """Take note of a tile that was taken: the rig works; whether the run had waited for that by itself."""
        came_back, self._tries, self._away_since_s = self._tries > 0, 0, None
        self._in_a_row.clear()
        self._since_success = 0
        return came_back

    @property
    def tries_again(self) -> bool:
        """Whether a run that pauses has paused for the same before, and tried again in vain."""
        return self._tries > 1

    def pause(self, failure: Exception) -> None:
        """Have the run pause; it tries again by itself, later each time, if what failed may come back."""
        away_s = self._away_s()
        if not self._may_come_back(failure):
            self._told.pause("now", str(failure))
            return
        wait_s = min(
            FIRST_COME_BACK_S * 2.0 ** min(self._tries, MOST_DOUBLINGS),
            LONGEST_COME_BACK_S,
            self._on_failure.come_back_s - away_s,
        )
        self._away_since_s = time.monotonic() - away_s
        self._tries += 1
        self._told.pause_for(wait_s, f"{failure}; tries again by itself in {wait_s:.0f} s")

    def _may_come_back(self, failure: Exception) -> bool:
        comes_back = isinstance(failure, DeviceError) and cause_of(failure) in COMES_BACK
        return comes_back and self._away_s() < self._on_failure.come_back_s

    def _away_s(self) -> float:
        return 0.0 if self._away_since_s is None else time.monotonic() - self._away_since_s

    def start_over(self, by_itself: bool) -> None:
        """Forget all counts: somebody has looked after the rig; `by_itself`, not for how long it is waited for."""
        if not by_itself:
            self._tries, self._away_since_s = 0, None
        self._retries.clear()
        self._in_a_row.clear()
        self._since_success = 0

    def overcome(self, step: Callable[[], T], may_pause: bool = True) -> T:
        """Do what no tile can go without, again as often as the policy for its failure allows.

        Then the run pauses where a tile would be skipped, and where the policy says so.

        Args:
            may_pause: else it fails instead.

        Raises:
            DeviceError: it failed once more than that, and the run is to end with it.
            Cut: the run is to pause for it, or was told to do something else.
        """
        failed: Counter[str] = Counter()
        while True:
            try:
                return step()
            except DeviceError as failure:
                cause = cause_of(failure)
                failed[cause] += 1
                if self._told.interrupting:
                    raise given_up(failure) from failure
                if failed[cause] > self._policy(cause).retries:
                    self._pause_for(failure, may_pause and self._policy(cause).then != "abort")
                overcome(failure)
                self._told.wait(_wait_s(failed[cause]))

    def _pause_for(self, failure: DeviceError, may_pause: bool) -> NoReturn:
        """Have the run pause for what failed, or end with it."""
        if not may_pause or self._pause_or_abort(failure) == "abort":
            raise failure
        self.pause(failure)
        raise given_up(failure) from failure

    def _pause_or_abort(self, failure: Exception) -> Action:
        """Where nobody can let a paused run go on, nor it itself, it ends, and can be resumed."""
        if self._told.attended or self._may_come_back(failure):
            return "pause"
        failure.add_note("the run would pause here, but nobody is there to let it go on; it can be resumed")
        return "abort"

    def _policy(self, cause: str) -> Policy:
        return Policy.of(getattr(self._on_failure, cause))


def cause_of(failure: DeviceError) -> str:
    """The kind of failure, as plans name it."""
    match failure:
        case ForceError():
            return "force"
        case DeviceTimeout():
            return "timeout"
        case DeviceLost():
            return "lost"
        case ProtocolError():
            return "protocol"
    return "rejected"


def _wait_s(times: int) -> float:
    return float(min(FIRST_WAIT_S * 2.0 ** min(times - 1, MOST_DOUBLINGS), LONGEST_WAIT_S))


def _action(word: str) -> Action:
    match word:
        case "skip" | "pause" | "abort":
            return word
    raise ValueError(f"policy {word!r}")
