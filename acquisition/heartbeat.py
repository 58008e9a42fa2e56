"""Signs of life in memory that two processes share: the service gives them, the guardian looks for them.

Each part of the service that can move the probe has a pulse of its own. With every beat it says until when it may be
silent; the parts themselves beat, as they get on with their work, and no thread beats for them. The guardian answers in
the same memory: it says that it has retracted the probe, and keeps it down until the service has taken note.
"""

import mmap
import os
import time
from pathlib import Path
from typing import Self

SIZE_BYTES = 4096
TEXT_AT = 512  # where the journal's path begins; before it are numbers of eight bytes, each written at once
ENGAGED, RETRACTIONS, NOTED = range(3)
GUARDIAN, ENGINE, FORCE = range(8, 11)


class Pulse:
    """One part's signs of life; to be used by the thread whose life it tells of."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers = numbers
        self._place = place

    def beat(self, longer_s: float = 0.0) -> None:
        """Give a sign of life; a step that may rightly take long, like an exposure, says by how much `longer_s`."""
        self._numbers[self._place] = time.monotonic() + longer_s

    def rest(self) -> None:
        """Say that no further sign is to be expected."""
        self._numbers[self._place] = 0.0

    @property
    def resting(self) -> bool:
        return self._numbers[self._place] == 0.0

    def silence_s(self, now_s: float) -> float:
        """How long it has been silent beyond what it announced; 0 at rest."""
        due_s = self._numbers[self._place]
        return max(now_s - due_s, 0.0) if due_s else 0.0


class Heartbeat:
    """The shared memory, seen from either side."""

    def __init__(self, file: int) -> None:
        """Map an open file of `SIZE_BYTES`, which stays the caller's."""
        self._memory = mmap.mmap(file, SIZE_BYTES)
        self._numbers = memoryview(self._memory)[:TEXT_AT].cast("d")
        self.engine = Pulse(self._numbers, ENGINE)
        self.force = Pulse(self._numbers, FORCE)
        self.guardian = Pulse(self._numbers, GUARDIAN)

    @classmethod
    def at(cls, path: Path) -> Self:
        """Map the file at `path`; it is laid out if it is not there, and left as it is if it is.

        Raises:
            OSError: it cannot be opened.
        """
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, SIZE_BYTES)
            return cls(file)
        finally:
            os.close(file)

    @classmethod
    def unshared(cls) -> Self:
        """Memory that nobody else looks at, for a rig without a probe."""
        return cls(-1)

    @property
    def engaged(self) -> bool:
        """Whether the probe may touch the specimen: then only a short silence is allowed."""
        return self._numbers[ENGAGED] != 0.0

    @engaged.setter
    def engaged(self, engaged: bool) -> None:
        self._numbers[ENGAGED] = float(engaged)

    @property
    def retracted(self) -> bool:
        """Whether the guardian has retracted the probe and the service has not taken note yet.

        Until then the guardian keeps the probe down, so whoever is to move z upwards has to ask this first.
        """
        return self._numbers[RETRACTIONS] != self._numbers[NOTED]

    def tell_retracted(self) -> None:
        """The guardian's: say that the probe is its own from now on."""
        self._numbers[RETRACTIONS] += 1.0

    def take_note(self) -> None:
        """The service's: say that it knows where the probe is now, and will approach anew; the guardian lets go."""
        self._numbers[NOTED] = self._numbers[RETRACTIONS]

    @property
    def resting(self) -> bool:
        """Whether nothing is to be watched: no pulse is expected, and the probe is not engaged."""
        return self.engine.resting and self.force.resting and not self.engaged

    def rest(self) -> None:
        """The service's: expect no pulse any more. A probe that is engaged stays so, and is the guardian's then."""
        self.engine.rest()
        self.force.rest()

    def silence_s(self, now_s: float) -> float:
        """How long the part that has been silent for longest has been so."""
        return max(self.engine.silence_s(now_s), self.force.silence_s(now_s))

    @property
    def journal(self) -> Path | None:
        """The journal of the run under way, for the guardian's own entry."""
        text = self._memory[TEXT_AT:].split(b"\0", 1)[0]
        return Path(os.fsdecode(text)) if text else None

    @journal.setter
    def journal(self, path: Path | None) -> None:
        text = os.fsencode(path.absolute()) if path else b""
        if len(text) >= SIZE_BYTES - TEXT_AT:
            raise ValueError(f"{path}: longer than {SIZE_BYTES - TEXT_AT - 1} bytes")
        self._memory[TEXT_AT:] = text.ljust(SIZE_BYTES - TEXT_AT, b"\0")
