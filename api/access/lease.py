"""The control lease: who alone may move and change things, until when. It is not needed, only respected."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST_S = 3600.0
USUAL_S = 300.0


class LeaseHeld(RuntimeError):
    """Somebody else is in control."""


@dataclass(frozen=True)
class _Held:
    holder: str
    until_s: float
    expires_at: datetime
    is_let_in: Callable[[], bool]


class Lease:
    """Held by one at a time who is still let in. It ends with the service, as what its holder had under way does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: _Held | None = None

    def take(self, who: str, for_s: float, is_let_in: Callable[[], bool] = lambda: True) -> None:
        """Be in control for so long from now, whether or not one was before.

        Args:
            is_let_in: asked whenever the lease matters: it is over with its holder's token.

        Raises:
            LeaseHeld
        """
        with self._lock:
            self.refuse_others(who)
            expires_at = datetime.now(UTC) + timedelta(seconds=for_s)
            self._held = _Held(who, self._clock() + for_s, expires_at, is_let_in)

    def give_up(self, who: str, anyones: bool = False) -> None:
        """Be in control no longer; nothing happens if nobody was. With `anyones`, whoever holds it.

        Raises:
            LeaseHeld
        """
        with self._lock:
            if not anyones:
                self.refuse_others(who)
            self._held = None

    def refuse_others(self, who: str) -> None:
        """Go on if nobody else is in control.

        Raises:
            LeaseHeld
        """
        held = self._current()
        if held is not None and held.holder != who:
            raise LeaseHeld(f"{held.holder} has the control lease until {_iso(held.expires_at)}")

    def facts(self) -> dict[str, Any] | None:
        """For `status`; None: nobody is in control."""
        held = self._current()
        if held is None:
            return None
        left_s = round(held.until_s - self._clock(), 1)
        return {"holder": held.holder, "expires_at": _iso(held.expires_at), "left_s": left_s}

    def _current(self) -> _Held | None:
        held = self._held
        return held if held is not None and self._clock() < held.until_s and held.is_let_in() else None


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
