"""The rig between two jobs, for people: opened when somebody asks, closed when a job wants it or nobody asked for long.

A job, and whoever makes the rig safe, need not ask: what people have under way is cut short, and the rig is closed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from api.hand.errors import RigTaken
from api.hand.heard import Heard
from api.hand.together import Together
from api.scan import NOT_FOR_TILES
from devices.rig import Rig, RigSettings, open_rig
from devices.rig_lock import holding

IDLE_S = 10.0  # until the rig is closed again, for others on this machine
USUAL_S = 0.02  # of exposure
HALT_AGAIN_S = 0.05  # a halt may meet the moment before a move


Opening = Callable[[RigSettings, ExitStack], Rig]


def open_and_hold(settings: RigSettings, opened: ExitStack) -> Rig:
    """Open a rig, and keep others on this machine from it until `opened` is closed.

    Raises:
        RigInUse: another process has it.
        DeviceError: it does not open.
    """
    with ExitStack() as opening:
        opening.enter_context(holding(settings))
        rig = opening.enter_context(open_rig(settings, leave_out=NOT_FOR_TILES))
        opened.push(opening.pop_all())
        return rig


class ByHand:
    """May be used by any thread; several may use the rig at a time, as its drivers allow."""

    def __init__(self, settings: Callable[[], RigSettings], opening: Opening = open_and_hold) -> None:
        self.settings = settings
        self.moving = threading.Lock()
        """Held by whoever moves something: one at a time."""
        self.exposing = threading.Lock()
        """Held by whoever takes a frame."""
        self.exposure_s = USUAL_S
        """Of the frame that somebody took last; the live view uses it too."""
        self._opening = opening
        self._changed = threading.Condition()
        self._rig: Rig | None = None
        self._opened = ExitStack()
        self._users = 0
        self._taken: list[str] = []
        self._idle: threading.Timer | None = None
        self.heard = Heard()
        self.readings: Together[dict[str, dict[str, Any]]] = Together()
        """Of all devices, by name."""

    @property
    def is_open(self) -> bool:
        return self._rig is not None

    @property
    def taken(self) -> str | None:
        """Why the rig is not for people now."""
        taken = self._taken
        return taken[-1] if taken else None

    @contextmanager
    def rig(self) -> Iterator[Rig]:
        """Use the open rig.

        Raises:
            RigTaken: a job has it, or it is being made safe.
            RigUnknown, RigInUse, RigFileError, DeviceError: it does not open.
        """
        with self._changed:
            if self.taken is not None:
                raise RigTaken(f"the rig is not free: {self.taken}")
            rig = self._rig or self._open()
            self._users += 1
            self._forget_idle()
        try:
            yield rig
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    self._close_later()
                self._changed.notify_all()

    @contextmanager
    def away(self, why: str) -> Iterator[None]:
        """Keep people from the rig over the block; whatever they have under way is cut short first."""
        self._taken.append(
            why
        )  # before the lock, which whoever opens a silent rig keeps for long: nobody opens it after
        with self._changed:
            while self._users and self._rig is not None:
                self._rig.halt()
                self._changed.wait(HALT_AGAIN_S)
            self._close()
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(why)

    def close(self) -> None:
        """Close the rig for good; may be called twice."""
        with self.away("the service ends"):
            self._taken.append("the service has ended")

    def _open(self) -> Rig:
        settings = self.settings()
        with self.heard.asking():
            self._rig = self._opening(settings, self._opened)
        return self._rig

    def _close(self) -> None:
        self._forget_idle()
        self._rig = None
        self._opened.close()

    def _close_later(self) -> None:
        self._forget_idle()
        self._idle = threading.Timer(IDLE_S, self._close_if_idle)
        self._idle.daemon = True
        self._idle.start()

    def _forget_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _close_if_idle(self) -> None:
        with self._changed:
            if not self._users and self._idle is not None:
                self._close()
