"""What each device said last, whoever asked it: people, a run, or whoever made the rig safe. Asks nobody."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from devices.errors import DeviceError, OutOfRange, Stopped

OLD_S = 60.0  # after which what a device said tells of the past alone


@dataclass(frozen=True)
class Word:
    """What was wrong with a device when it was asked last, if anything."""

    wrong: str | None
    at_s: float  # of the epoch

    @property
    def at(self) -> str:
        return datetime.fromtimestamp(self.at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Heard:
    """May be written to and read by any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._words: dict[str, Word] = {}

    def well(self, *devices: str) -> None:
        """They answered just now."""
        self._words.update(dict.fromkeys(devices, Word(None, self._clock())))

    def failed(self, error: DeviceError) -> None:
        """A device did not answer, or not well; a wrong order, or a stop, is no fault of its own."""
        if not isinstance(error, (OutOfRange, Stopped)):
            self._words[error.device] = Word(error.message, self._clock())

    @contextmanager
    def asking(self, *devices: str) -> Iterator[None]:
        """Over the block each of them is asked: they are well if nothing is raised.

        Raises:
            DeviceError: whatever the block does; it is remembered.
        """
        try:
            yield
        except DeviceError as error:
            self.failed(error)
            raise
        self.well(*devices)

    def last(self) -> dict[str, Word]:
        """Of each device that was ever asked."""
        return dict(self._words)

    def is_old(self, word: Word) -> bool:
        return self._clock() - word.at_s > OLD_S
