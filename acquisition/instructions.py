"""What a run is told while it goes on, from whatever thread; the engine asks between two steps.

Stop, abort, skip and pause-now also cut short what is under way: whoever moves something registers how to (`cutting`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

PauseAfter = Literal["now", "tile", "row"]
CUT_AGAIN_S = 0.05
"""A stop may meet the moment before a move; until the engine has noticed it is sent again this often."""


class Cut(Exception):
    """What was under way has been given up, for the engine was told something else."""


@dataclass(frozen=True)
class Hold:
    """Why somebody holds a run, and whether a person has to let it go on afterwards."""

    reason: str
    manual: bool


class Instructions:
    """Told by people, interlocks and failures; safe to use from any thread."""

    def __init__(self, attended: bool = True) -> None:
        """Begin with nothing told; not `attended`, nobody is there who could let a paused run go on."""
        self.attended = attended
        self._changed = threading.Condition()
        self._ending: Literal["", "stop", "abort"] = ""
        self._for_now = False
        self._pause: PauseAfter | Literal[""] = ""
        self._skip = False
        self._holds: dict[str, Hold] = {}
        self._why_paused = ""
        self._pause_ends_s: float | None = None  # monotonic; None: once somebody says so
        self._went_on_by_itself = False
        self._why_ends = self._why_waits = self._why_skips = ""
        self._cuts = self._noticed = 0  # how often something that cuts short was told, and how far that was noticed
        self._noting = threading.Lock()
        self._note: Callable[..., None] | None = None
        self._noted: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run is to end, one way or the other."""
        return bool(self._ending)

    @property
    def aborted(self) -> bool:
        """Whether the run is to end and to count as failed."""
        return self._ending == "abort"

    @property
    def stopped_for_now(self) -> bool:
        """Whether the run is to end, but whoever told so goes on with it later."""
        return self._ending == "stop" and self._for_now

    @property
    def why_ends(self) -> str:
        """Who told it to end, and why."""
        return self._why_ends

    @property
    def why_waits(self) -> str:
        """Who told it to pause or holds it, the last of them, and why."""
        return self._why_waits

    @property
    def interrupting(self) -> bool:
        """Whether what is under way is to be given up, and the engine has not noticed yet."""
        return self._cuts > self._noticed

    def notice(self) -> None:
        """Let what follows go on: the engine has given up what was under way, and leaves the rig safe."""
        with self._changed:
            self._noticed = self._cuts

    @property
    def waiting(self) -> bool:
        """Whether somebody wants the run to pause, now or later, or holds it."""
        return bool(self._pause or self._holds)

    @property
    def needs_somebody(self) -> str | None:
        """Why the run goes on, now or after a pause to come, only once a person says so; None if it would by itself."""
        with self._changed:
            if self._pause and self._pause_ends_s is None:
                return self._why_paused or "told to"
            return next((hold.reason for hold in self._holds.values() if hold.manual), None)

    @contextmanager
    def noted_by(self, note: Callable[..., None], noted: str | None) -> Iterator[None]:
        """Have every change of `needs_somebody` entered by `note` (`Journal.note`); the journal so far says `noted`.

        A run outlives the process that was told.
        """
        self._note, self._noted = note, noted
        self.enter()
        try:
            yield
        finally:
            with self._noting:
                self._note = None

    def enter(self) -> None:
        """Have entered whether the run needs somebody, if that has changed; what is entered last is true."""
        with self._noting:
            if self._note is not None and (now := self.needs_somebody) != self._noted:
                self._note("needs_somebody", reason=now)
                self._noted = now

    def stop(self, reason: str = "", for_now: bool = False) -> None:
        """End the run now and cleanly; what was taken is kept, and made into a mosaic.

        Args:
            for_now: who says so goes on with it later; for good, if anybody says that.
        """
        self._end("stop", reason, for_now)

    def abort(self, reason: str = "") -> None:
        """End the run now, as failed."""
        self._end("abort", reason, for_now=False)

    def pause(self, after: PauseAfter = "tile", reason: str = "") -> None:
        """Wait with the rig safe: now, or after the tile or the row under way."""
        with self._changed:
            self._why_paused = self._why_waits = reason or (self._why_paused if self._pause else "")
            self._pause_ends_s = None
            self._pause = "now" if "now" in (after, self._pause) else after
            self._cuts += after == "now"
            self._changed.notify_all()
        self.enter()

    def pause_for(self, wait_s: float, reason: str) -> None:
        """Pause now, and go on after so long; unless a person pauses, or has paused, the run as well."""
        with self._changed:
            if not self._pause:
                self._why_paused = self._why_waits = reason
                self._pause_ends_s = time.monotonic() + wait_s
            self._pause = "now"
            self._cuts += 1
            self._changed.notify_all()
        self.enter()

    @property
    def goes_on_by_itself(self) -> bool:
        """Whether the run is paused for a time, and no longer."""
        return self._pause_ends_s is not None

    @property
    def went_on_by_itself(self) -> bool:
        """Whether the last pause ended for its time was over, and not for what anybody said."""
        return self._went_on_by_itself

    def hold(self, name: str, reason: str, manual: bool = False) -> None:
        """Pause now, until whoever holds lets go; several may hold, and nobody else ends it.

        Waits for no disk: whoever holds calls `enter` once it has done what could not wait either.

        Args:
            manual: whoever holds will pause the run before letting go, so that a person has to let it go on.
        """
        with self._changed:
            self._holds[name] = Hold(reason, manual)
            self._cuts += 1
            self._why_waits = reason
            self._changed.notify_all()

    def let_go(self, name: str) -> None:
        """End one's hold; the run goes on when nobody holds it and nobody has paused it."""
        with self._changed:
            self._holds.pop(name, None)
            self._changed.notify_all()
        self.enter()

    def resume(self) -> None:
        """Go on, unless somebody holds."""
        with self._changed:
            self._pause, self._pause_ends_s = "", None
            self._changed.notify_all()
        self.enter()

    def skip(self, reason: str = "") -> None:
        """Give up the tile that is tried, or waited for, for good."""
        with self._changed:
            self._why_skips = reason or (self._why_skips if self._skip else "")
            self._skip = True
            self._cuts += 1
            self._changed.notify_all()

    def take_skip(self) -> str | None:
        """Why a tile is to be skipped, None if none is; asked once."""
        with self._changed:
            skip, self._skip = self._skip, False
            return self._why_skips if skip else None

    def wants_pause(self, row_ended: bool) -> bool:
        """Whether to pause between two tiles; `row_ended` if the next one is of another row."""
        return bool(self._holds) or self._pause in ("now", "tile") or (self._pause == "row" and row_ended)

    def wait_while_paused(self, timeout_s: float | None = None) -> bool:
        """Wait until the run may go on, or is to end; False if `timeout_s` was over before that."""
        with self._changed:
            self._went_on_by_itself = False
            until_s = [self._pause_ends_s - time.monotonic()] if self._pause_ends_s is not None else []
            for_s = min([*until_s, *([] if timeout_s is None else [timeout_s])], default=None)
            self._changed.wait_for(lambda: bool(self._ending) or not self.waiting, for_s)
            if self._pause_ends_s is not None and time.monotonic() >= self._pause_ends_s:
                self._pause, self._pause_ends_s = "", None
                self._went_on_by_itself = True
            return bool(self._ending) or not self.waiting

    def wait(self, for_s: float) -> None:
        """Let time pass, unless something is told that cuts short.

        Raises:
            Cut: it was.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self.interrupting, for_s):
                raise Cut

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call `cut`, from a thread of its own, as soon as what is under way is to be given up.

        It is called again until what was told has been taken note of, for it may have come a moment before a move.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                with self._changed:
                    self._changed.wait_for(lambda: self.interrupting or over.is_set())
                if not over.is_set():
                    cut()
                    over.wait(CUT_AGAIN_S)

        watcher = threading.Thread(target=watch, name="cutting short")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            with self._changed:
                self._changed.notify_all()
            watcher.join()

    def _end(self, ending: Literal["stop", "abort"], reason: str, for_now: bool) -> None:
        with self._changed:
            self._for_now = for_now and (self._for_now or not self._ending)
            self._why_ends = reason or self._why_ends
            self._ending = "abort" if "abort" in (ending, self._ending) else ending
            self._cuts += 1
            self._changed.notify_all()
