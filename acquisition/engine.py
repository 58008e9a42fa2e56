"""One plan on one rig: take what the store does not hold yet, as it was told, and leave the rig safe.

preparing    exposure, focus, drift, backlash
acquiring    a tile or a row at a time; between two of them, and by cutting short, what people tell is honoured
paused       the rig is safe; nothing moves until it is told to go on
finishing    the rig is made safe
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from acquisition.failures import Action, Failures, cause_of
from acquisition.field import Field
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Cut, Instructions
from acquisition.journal import TOLD, Attempt
from acquisition.judging import Judging
from acquisition.keeping import Keeping
from acquisition.layout import camera_area, runs
from acquisition.overlap import PlannedTile
from acquisition.pausing import pause
from acquisition.quality import STAYS
from acquisition.retakes import RetakeDesk
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from acquisition.taking import ExposureRefused, Portion, Taken, Taking
from acquisition.write_behind import WriteBehind
from devices.rig import Rig


@dataclass(frozen=True)
class Watcher:
    """Who is told how far the acquisition is; `acquired` is called from the writing thread, once it is durable."""

    acquired: Callable[[Attempt], None] = lambda attempt: None
    state: Callable[[State], None] = lambda state: None


def run(
    store: RunStore,
    rig: Rig,
    told: Instructions,
    watcher: Watcher = Watcher(),
    heart: Heartbeat | None = None,
    desk: RetakeDesk | None = None,
) -> Outcome:
    """Acquire every tile of the store's plan that it does not hold; leave the rig safe, however it ends.

    Args:
        heart: where the engine gives signs of life to a guardian; None: there is none.
        desk: where tiles are asked for once more; closed when this returns. None: nobody asks.

    Raises:
        DeviceError: a device failed and the plan's policy for it is to abort; the journal says which and why.
        OSError: a frame or a line of the journal could not be stored.
    """
    note = store.journal.note
    store.journal.add_event("run_resumed" if store.attempts() else "run_started", missing=len(store.to_take()))
    failures = Failures(store.plan.on_failure, told)
    heart = heart or Heartbeat.unshared()
    desk = desk or RetakeDesk(store)
    try:
        with (
            WriteBehind(store.record_all, watcher.acquired, store.encode, store.raw.encoders) as writer,
            rig.safe_on_exit(),
            _keeping(store, rig, told, watcher, failures, heart) as keeping,
        ):
            outcome = _Engine(store, rig, told, watcher, writer, keeping, failures, desk).acquire()
            watcher.state(State.FINISHING)
            told.notice()
    except Cut:
        outcome = _ended(told)
        watcher.state(State.FINISHING)
    except Exception as error:
        note("run_failed", reason=str(error))
        raise
    finally:
        desk.close()
    store.journal.note_clock_jump()
    for_now = {"for_now": True} if outcome is Outcome.STOPPED and told.stopped_for_now else {}
    note(f"run_{outcome}", reason="" if outcome is Outcome.COMPLETED else told.why_ends, **for_now)
    return outcome


def _ended(told: Instructions) -> Outcome:
    return Outcome.FAILED if told.aborted else Outcome.STOPPED


def _keeping(
    store: RunStore, rig: Rig, told: Instructions, watcher: Watcher, failures: Failures, heart: Heartbeat
) -> Keeping:
    """Take the rig in hand; it may pause before it can.

    Raises:
        Cut: the run is to end.
        DeviceError: a device failed, and the run is to end with it.
    """
    while True:
        try:
            return failures.overcome(lambda: Keeping(store, rig, told, store.journal.note, heart, failures.overcome))
        except Cut:
            if told.stopped:
                raise
            pause(store, told, failures, watcher.state, [rig.make_safe])


def _portions(store: RunStore, after_row: int = -1) -> Iterator[Portion]:
    """What is taken in one go: a tile or, in line mode, a row without gaps; what fails there is stepped through."""
    missing = [tile for tile in store.to_take() if tile.row > after_row]
    if store.plan.tiles.mode == "step":
        yield from ([tile] for tile in missing)
        return
    for _, row in groupby(missing, key=lambda tile: tile.row):
        yield from runs(list(row))


class _Engine:
    """The loop over the portions that are left."""

    def __init__(
        self,
        store: RunStore,
        rig: Rig,
        told: Instructions,
        watcher: Watcher,
        writer: WriteBehind,
        keeping: Keeping,
        failures: Failures,
        desk: RetakeDesk,
    ) -> None:
        self._store = store
        self._rig = rig
        self._told = told
        self._watcher = watcher
        self._writer = writer
        self._keeping = keeping
        self._failures = failures
        self._desk = desk
        self._judging = Judging(store, rig, told)
        self._todo = deque(_portions(store))
        self._last_row: int | None = None
        self._cut_short: Portion | None = None

    def acquire(self) -> Outcome:
        """Take what is left, in stretches between pauses."""
        while True:
            with self._told.cutting(self._rig.halt):
                self._acquire_until_told()
            if self._told.stopped:
                return _ended(self._told)
            if self._todo or self._failures.disk_fails:
                self._pause()
            elif self._desk.close(unless_wanted=True):
                return Outcome.COMPLETED

    def _acquire_until_told(self) -> None:
        """Take one portion after the other until none is left, or the run is to pause or to end."""
        taking = None
        while not self._told.stopped:
            self._store.journal.note_clock_jump()
            row_ended = not self._todo or self._todo[0][0].row != self._last_row
            if self._told.wants_pause(row_ended) and (self._todo or self._failures.disk_fails):
                return
            try:
                if row_ended and self._last_row is not None:
                    self._after_row(self._last_row)
                if not self._todo:
                    self._last_look()
                if not self._todo:
                    return
                taking = taking or self._prepare(self._todo[0][0])
                if (why := self._told.take_skip()) is not None:
                    self._skip_first(taking, why)
                else:
                    self._take_first(taking)
            except Cut:
                self._told.notice()
                if not self._todo:
                    self._told.take_skip()  # there is no tile that it could mean

    def _prepare(self, first: PlannedTile) -> Taking:
        """Do what no tile can go without."""
        self._watcher.state(State.PREPARING)
        self._stored(self._wait_written)
        plan = self._store.plan
        area, _ = camera_area(plan, Field.calibrated(self._rig.settings.calibration))
        self._failures.overcome(self._rig.retract)
        if area is not None:
            self._failures.overcome(lambda: self._rig.camera.set_roi(area))
        self._failures.overcome(lambda: self._rig.camera.set_exposure_s(plan.camera.exposure_s))
        self._keeping.prepare(first)
        before_exposure = partial(self._stored, self._wait_written)
        taking = self._failures.overcome(
            lambda: Taking(self._rig, self._store, self._told, self._keeping, self._desk, before_exposure)
        )
        self._watcher.state(State.ACQUIRING)
        return taking

    def _skip_first(self, taking: Taking, why: str) -> None:
        """Give up the tile that comes first; a sweep that was cut short for that is stepped through to find it."""
        first, *rest = portion = self._todo.popleft()
        if portion is self._cut_short and rest:
            self._told.notice()
            self._todo.extendleft([tile] for tile in reversed(portion))
            return
        if rest:
            self._todo.appendleft(rest)
        self._give_up([taking.not_at_all(first)], why)

    def _give_up(self, attempts: Sequence[Attempt], why: str) -> None:
        """Skip for good what somebody wants to be skipped."""
        self._told.notice()
        for attempt in attempts:
            reason = f"told to skip it {why}".strip()
            self._skip(replace(attempt, verdict="skipped", cause=TOLD, reason=reason), final=True)

    def _take_first(self, taking: Taking) -> None:
        """Take the first portion and put back what of it has to be taken again.

        Raises:
            Cut: it was given up; what is left to do is as it was.
            DeviceError: something failed, and the run is to end with it.
        """
        portion = self._todo[0]
        try:
            taken, failure = taking.take(portion, self._next_for_sure())
        except Cut:
            self._cut_short = portion
            self._store.journal.note("cut_short", tile=portion[0].index, took_s=taking.begin_counting())
            raise
        self._todo.popleft()
        self._last_row = portion[-1].row
        if (why := self._told.take_skip()) is not None:  # told too late to cut it short
            self._skip_taken(portion, [attempt for attempt, _ in taken], why)
            return
        if failure is None:
            self._keep(portion, taken)
            return
        if isinstance(failure, ExposureRefused):  # which says nothing about the rig, nor would it help to try again
            self._skip(replace(taken[0][0], reason=str(failure)), final=True)
            return
        action = self._failures.action(portion[0], failure)
        if len(portion) > 1 and action == "skip":
            action = "retry"  # a sweep that failed is stepped through before a tile of it is given up
        for tile, (attempt, _) in zip(portion, taken, strict=True):
            self._settle(tile, replace(attempt, cause=cause_of(failure), reason=str(failure)), action)
            if action == "abort":
                raise failure
        if action in ("retry", "pause"):
            self._todo.extendleft([tile] for tile in reversed(portion))
        if action == "pause":
            self._failures.pause(failure)
        if action in ("retry", "skip"):
            self._back_off(taking, portion[0], str(failure))

    def _skip_taken(self, portion: Portion, attempts: list[Attempt], why: str) -> None:
        """Give up a tile that was taken meanwhile; of a sweep nobody knows which is meant: it is stepped through."""
        if len(portion) == 1:
            self._give_up(attempts, why)
            return
        self._told.notice()
        reason = f"told to skip one of its sweep {why}".strip()
        for tile, attempt in zip(portion, attempts, strict=True):
            self._settle(tile, replace(attempt, cause=TOLD, reason=reason), "retry")
        self._todo.extendleft([tile] for tile in reversed(portion))

    def _back_off(self, taking: Taking, failed: PlannedTile, reason: str) -> None:
        """Give what failed time to come back; it counts as lost, not as part of what is taken next.

        Raises:
            Cut: the engine was told to do something else than to give up what failed.
        """
        try:
            self._told.wait(self._failures.wait_s())
        except Cut:
            if (why := self._told.take_skip()) is None:
                raise
            if [failed] in self._todo:
                self._todo.remove([failed])
            self._give_up([taking.not_at_all(failed)], why)
        finally:
            self._store.journal.note("backed_off", reason=reason, took_s=taking.begin_counting())

    def _next_for_sure(self) -> PlannedTile | None:
        """The tile that is taken next whatever is said about this one; None if that remains to be seen."""
        plan = self._store.plan
        if len(self._todo) < 2 or plan.tiles.mode != "step" or plan.quality.policy == "retake" or self._told.waiting:
            return None
        (this, *_), (following, *_) = self._todo[0], self._todo[1]
        if plan.tiles.overlap_band is not None and following.row != this.row:
            return None
        return following

    def _keep(self, portion: Portion, taken: list[Taken]) -> None:
        """Store what was taken; what is not good enough, or what the disk does not take, is to be taken again."""
        again: list[PlannedTile] = []
        try:
            for place, (tile, (attempt, pixels)) in enumerate(zip(portion, taken, strict=True)):
                assert pixels is not None
                judged = self._judging.frame(attempt, pixels)
                if judged.again:
                    again.append(tile)
                try:
                    self._stored(partial(self._writer.put, judged.attempt, judged.pixels))
                except Cut:
                    again = [*(tile for tile in again if tile not in portion[place:]), *portion[place:]]
                    raise
                if self._failures.went_well(tile):
                    self._store.journal.note("continued")
                if not judged.again:
                    self._desk.done(attempt)
        finally:
            self._todo.extendleft([tile] for tile in reversed(again))

    def _after_row(self, row: int) -> None:
        """Have a row judged that is taken as a whole, and go on with what follows from that."""
        self._last_row = None
        if self._judging.needs_rows_stored:
            self._stored(self._wait_written)
        laid_out_anew, again = self._judging.row(row)
        if laid_out_anew:
            earlier = [portion for portion in self._todo if portion[0].row <= row]
            self._todo = deque([*_portions(self._store, after_row=row), *earlier])
        self._todo.extend([tile] for tile in again)

    def _last_look(self) -> None:
        self._stored(self._wait_written)
        again = self._judging.all()
        if not again:
            self._ask_for_doubtful()
        self._todo.extend([tile] for tile in dict.fromkeys([*again, *self._desk.left()]))

    def _ask_for_doubtful(self) -> None:
        """Have tiles taken again whose restored image contradicts them; the probe lets go while the worker works."""
        if self._judging.awaits_restoration:
            self._failures.overcome(self._keeping.rest, may_pause=False)  # there is no tile left to go on with
            factor = self._store.plan.quality.doubtful_exposure or 1.0
            for tile, why in self._judging.doubtful().items():
                self._stored(partial(self._desk.ask, tile, factor, why, "doubtful"))

    def _settle(self, tile: PlannedTile, attempt: Attempt, action: Action) -> None:
        """Record an attempt that failed, and put its tile at the end if it is to be tried again there."""
        match action:
            case "retry" | "pause":
                self._put(replace(attempt, verdict="retry"))
            case "skip":
                comes_back = self._failures.may_come_back(tile)
                if comes_back:
                    self._todo.append([tile])
                self._skip(attempt, final=not comes_back)
            case "abort":
                self._put(replace(attempt, verdict="failed"))

    def _stored(self, act: Callable[[], None]) -> None:
        """Do what waits for the disk, as often as the policy for a failing one allows; see `Failures.disk_failed`."""
        while True:
            try:
                act()
            except OSError as error:
                self._failures.disk_failed(error)
                self._writer.retry()
            else:
                self._failures.stored()
                return

    def _wait_written(self) -> None:
        self._writer.wait_written(lambda: self._told.interrupting)
        if self._told.interrupting:
            raise Cut

    def _put(self, attempt: Attempt) -> None:
        self._stored(lambda: self._writer.put(attempt, None))

    def _skip(self, attempt: Attempt, final: bool) -> None:
        self._put(replace(attempt, verdict="skipped"))
        if final:
            self._desk.done(attempt)
        reason = attempt.reason if attempt.retake is None else f"{attempt.reason}; {STAYS}"
        self._store.journal.note("tile_skipped", tile=attempt.tile, reason=reason, final=final)

    def _pause(self) -> None:
        """Leave the rig safe and wait until somebody says what to do next."""

        def wait_written() -> None:
            with suppress(OSError):  # it may be why the run pauses
                self._writer.wait_written(lambda: self._told.stopped)

        make_safe = (self._keeping.rest, self._rig.make_safe)
        self._cut_short = None  # what is told from now on is about what comes next
        pause(self._store, self._told, self._failures, self._watcher.state, make_safe, wait_written)
        self._writer.retry()
