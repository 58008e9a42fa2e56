"""What drivers tell of troubles that they overcame, on its way into the journal of a run.

It is told in the middle of an exchange with a device, by any thread, so it is only queued there; a thread of its own
writes it down. The queue and the number of entries a minute are limited: a device that is gone all night fills no disk.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from devices.errors import DeviceError
from devices.troubles import TROUBLES

MOST_WAITING = 1000
MOST_A_MINUTE = 60
"""Of one device; the next entry says how many were left out."""
MINUTE_S = 60.0

Note = Callable[..., None]


class Troubles(logging.Handler):
    """Hears every trouble of this process from its making to its closing, and notes it once it is given a journal."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(MOST_WAITING)
        self._minutes: dict[str, _Minute] = {}
        TROUBLES.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue it; what finds the queue full is left out."""
        minute = self._minutes.setdefault(_error_of(record).device, _Minute(record.created))
        if self._waiting.full() or not minute.has_room(record.created):
            minute.left_out += 1
        else:
            self._waiting.put_nowait(record)  # `emit` holds the handler's lock: nobody else fills the queue

    @contextmanager
    def noted_by(self, note: Note) -> Iterator[None]:
        """Have them entered by `note` (`Journal.note`), those before too, as events `device_trouble`."""
        writing = threading.Thread(target=self._write, args=[note], name="troubles", daemon=True)
        writing.start()
        try:
            yield
        finally:
            self._waiting.put(None)
            writing.join()

    def close(self) -> None:
        """Hear no more; may be called twice."""
        TROUBLES.removeHandler(self)
        super().close()

    def _write(self, note: Note) -> None:
        while (record := self._waiting.get()) is not None:
            with suppress(OSError):  # a disk that takes nothing is told of where frames are stored
                note("device_trouble", **self._entry(record))

    def _entry(self, record: logging.LogRecord) -> dict[str, object]:
        error = _error_of(record)
        happened_at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"device": error.device, "what": error.message, "cause": type(error).__name__}
        left_out = self._minutes[error.device].take_left_out()
        return entry | {"happened_at": happened_at} | ({"left_out": left_out} if left_out else {})


@dataclass
class _Minute:
    """How many entries a device has used up since when, and how many were left out."""

    since_s: float
    entries: int = 0
    left_out: int = 0

    def has_room(self, now_s: float) -> bool:
        if now_s - self.since_s > MINUTE_S:
            self.since_s, self.entries = now_s, 0
        self.entries += 1
        return self.entries <= MOST_A_MINUTE

    def take_left_out(self) -> int:
        count, self.left_out = self.left_out, 0
        return count


def _error_of(record: logging.LogRecord) -> DeviceError:
    error = record.__dict__["error"]
    assert isinstance(error, DeviceError)
    return error
