"""Tiles that somebody wants to be taken again, though a frame of each was accepted: asked for, noted, taken, done.

What is asked for goes into the journal before anybody is told so, and an attempt names the wish that it answers in the
row that makes it count. So a wish outlives every crash, and is granted once.
"""

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from acquisition.journal import TOLD, Attempt
from acquisition.overlap import PlannedTile
from acquisition.plan import LONGEST_EXPOSURE_MS, MOST_TIMES
from acquisition.quality import CAUSE
from acquisition.queue_errors import JobRefused, RetakeRefused
from acquisition.run_store import RunStore

Cause = Literal["asked", "doubtful"]
"""Why a tile is taken again: a person wants it so, or its restored image contradicts its frame."""

ANSWERS = (CAUSE, TOLD, *get_args(Cause))
"""Causes of an attempt without a frame that would be the same once more."""


@dataclass(frozen=True)
class Retake:
    """A wish: its number in the run, the tile, and how many times as long as planned it is to be exposed."""

    number: int
    tile: int
    exposure_factor: float
    cause: Cause
    reason: str

    @classmethod
    def noted(cls, data: dict[str, Any]) -> Self:
        """Read it as the journal holds it."""
        return cls(**data)


def asked_of(store: RunStore) -> list[Retake]:
    """All that was ever wished for in a run, granted or not, in order."""
    return [Retake.noted(event.data) for event in store.journal.events(kind="retake_asked")]


def wanted(asked: Iterable[Retake], attempts: Iterable[Attempt]) -> dict[int, Retake]:
    """Wishes that no attempt has answered, by tile; of several for a tile the last one counts.

    A frame answers, and so does one that was not good enough, a camera that does not expose for so long, or somebody
    who skips it. A device that fails does not.
    """
    latest = {retake.tile: retake for retake in asked}
    if not latest:
        return {}
    for attempt in attempts:
        retake = latest.get(attempt.tile)
        is_answer = attempt.verdict == "ok" or (attempt.verdict == "skipped" and attempt.cause in ANSWERS)
        if retake is not None and attempt.retake is not None and attempt.retake >= retake.number and is_answer:
            del latest[attempt.tile]
    return latest


def wanted_of(store: RunStore) -> dict[int, Retake]:
    """What a run still has to take again, by tile."""
    asked = asked_of(store)
    return wanted(asked, (attempt for _, attempt in store.journal.attempts())) if asked else {}


def left_to_take(store: RunStore) -> list[PlannedTile]:
    """Tiles of which a run has no frame yet, and those that it has to take again."""
    again = wanted_of(store)
    return [*store.to_take(), *(tile for tile in store.tiles() if tile.index in again)]


class RetakeDesk:
    """Where wishes are taken while a run goes on, from any thread, and where the engine finds them."""

    def __init__(self, store: RunStore) -> None:
        """Open with what the journal says is still wanted."""
        self._store = store
        self._exposure_ms = store.plan.camera.exposure_ms
        self._number = max((retake.number for retake in asked_of(store)), default=0)
        self._wanted = wanted_of(store)
        self._is_open = True
        self._asking = threading.Lock()  # held while the disk is waited for, which the engine never does here
        self._changing = threading.Lock()

    def ask(self, tile: int, exposure_factor: float = 1.0, reason: str = "", cause: Cause = "asked") -> None:
        """Have a tile taken again before the run ends; returns when the journal holds that.

        If that gives no frame that is good enough, the one before stays.

        Args:
            exposure_factor: times the exposure of the plan, 1..10.

        Raises:
            RetakeRefused: the plan has no such tile, or no camera is exposed for so long.
            JobRefused: the tile is not taken yet, or no more tiles will be.
            JournalError: it could not be noted, and does not count.
        """
        with self._asking:
            self._refuse(tile, exposure_factor)
            self._number += 1
            retake = Retake(self._number, tile, exposure_factor, cause, reason)
            self._store.journal.add_event("retake_asked", **asdict(retake))
            with self._changing:
                self._wanted[tile] = retake

    def wanted(self, tile: int) -> Retake | None:
        """The wish for a tile that is not granted yet."""
        return self._wanted.get(tile)

    def numbers(self) -> list[int]:
        """The tiles that are to be taken again, from memory alone."""
        with self._changing:
            return sorted(self._wanted)

    def left(self) -> list[PlannedTile]:
        """All tiles that are to be taken again, in planned order."""
        again = self.numbers()
        return [tile for tile in self._store.tiles() if tile.index in again] if again else []

    def done(self, attempt: Attempt) -> None:
        """Take note that an attempt ends the wish which it answers, with a frame or without."""
        with self._changing:
            retake = self._wanted.get(attempt.tile)
            if retake is not None and retake.number == attempt.retake:
                del self._wanted[attempt.tile]

    def close(self, unless_wanted: bool = False) -> bool:
        """Take no more wishes; with `unless_wanted` only if none is left to be granted. Whether it is closed."""
        with self._asking:
            self._is_open = self._is_open and unless_wanted and bool(self._wanted)
            return not self._is_open

    def _refuse(self, tile: int, exposure_factor: float) -> None:
        planned = len(self._store.tiles())
        if not 0 <= tile < planned:
            raise RetakeRefused(f"tile = {tile}: outside 0..{planned - 1}, the tiles of the plan")
        if not 1 <= exposure_factor <= MOST_TIMES:
            raise RetakeRefused(f"exposure_factor = {exposure_factor:g}: outside 1..{MOST_TIMES:g}")
        longest = LONGEST_EXPOSURE_MS / self._exposure_ms
        if exposure_factor > longest:
            raise RetakeRefused(
                f"exposure_factor = {exposure_factor:g}: outside 1..{longest:g}, for the plan's exposure_ms = "
                f"{self._exposure_ms:g} and at most {LONGEST_EXPOSURE_MS:g}"
            )
        if not self._is_open:
            raise JobRefused(f"tile = {tile}: too late to take it again: acquiring is over")
        if not self._store.journal.has_frame(tile):
            raise JobRefused(f"tile = {tile}: not taken yet, so there is nothing to take again")
