"""Tiles whose restored image does not explain the frame that it was made of, as the worker tells in the journal."""

import time

from acquisition.instructions import Instructions
from acquisition.journal import Event
from acquisition.run_store import RunStore

LOOK_S = 0.1
PATIENCE_S = 60.0
"""Without a word of the worker; a network on a slow core takes less for a tile."""


class Doubts:
    """Follows what the worker says of the frames of a run."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._read_events = self._read_attempts = 0
        self._taken: dict[int, int] = {}  # of each tile the attempt whose frame counts
        self._restored: dict[tuple[int, int], str | None] = {}  # by tile and attempt: what is wrong, if anything

    def await_worker(self, told: Instructions) -> None:
        """Wait until all that was taken is restored, as long as the worker gets on; the journal tells if it does not.

        Raises:
            Cut: the run was told something else.
        """
        waiting, since_s = self._waiting(), time.monotonic()
        while waiting and time.monotonic() - since_s < PATIENCE_S:
            told.wait(LOOK_S)
            if (now := self._waiting()) < waiting:
                waiting, since_s = now, time.monotonic()
        if waiting:
            self._store.journal.note("restoration_late", missing=waiting, waited_s=PATIENCE_S)

    def found(self) -> dict[int, str]:
        """Why tiles are doubtful, by their number."""
        self._read()
        reasons = ((tile, self._restored.get((tile, attempt))) for tile, attempt in self._taken.items())
        return {tile: reason for tile, reason in reasons if reason is not None}

    def _waiting(self) -> int:
        """How many tiles the worker has not restored yet."""
        self._read()
        return sum(key not in self._restored for key in self._taken.items())

    def _read(self) -> None:
        for number, attempt in self._store.journal.attempts(after=self._read_attempts):
            self._read_attempts = number
            if attempt.frame is not None:
                self._taken[attempt.tile] = attempt.attempt
        for event in self._store.journal.events(after=self._read_events, kind="tile_restored"):
            self._read_events = event.seq
            key, reason = _said(event)
            self._restored[key] = reason


def _said(event: Event) -> tuple[tuple[int, int], str | None]:
    """Of which tile and attempt, and what is wrong with it, if anything."""
    tile, attempt, agreement, least = (event.data[name] for name in ("tile", "attempt", "agreement", "least"))
    assert isinstance(tile, int)
    assert isinstance(attempt, int)
    assert isinstance(least, float)
    if isinstance(agreement, float) and agreement < least:
        said = f"doubtful: restored, it explains {agreement:g} of its frame; at least {least:g} is wanted"
        return (tile, attempt), said
    return (tile, attempt), _misfit(event.data.get("misfit"))


def _misfit(found: object) -> str | None:
    """What is wrong at the place that the restored tile explains least; older journals do not know of it."""
    if not isinstance(found, dict) or found["strength"] <= found["limit"]:
        return None
    where = f"at x {found['x_px']}, y {found['y_px']} px"
    return (
        f"doubtful: {where} its restored image is off by {found['strength']:g} deviations of the averaged noise; "
        f"{found['limit']:g} may come of chance"
    )
