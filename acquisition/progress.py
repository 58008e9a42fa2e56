"""How far a run is, and when it will probably be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from acquisition.journal import Attempt, Event
from acquisition.overlap import PlannedTile
from acquisition.preflight import cost
from acquisition.run_store import RunStore
from acquisition.timeline import ENDS, RESUMING, STARTS

HOLDING = frozenset({"pause", "retract"})  # actions of an interlock that lets the run go on once it has cleared
WaitsFor = Literal["somebody", "an interlock", "an interlock, then somebody", "a device to come back"]


@dataclass(frozen=True)
class Progress:
    """Tiles that are done, of how many; `ends_at`, None where it cannot be told; what a paused run waits for."""

    done: int
    planned: int
    ends_at: datetime | None
    waits_for: WaitsFor | None = None


def progress_of(store: RunStore, now: datetime) -> Progress:
    """Count what the journal holds, and say what is left by what each kind of tile took so far.

    Kinds are the tiles that begin a row, at which focus and drift may be measured, and the others. What was not
    measured yet is the plan's estimate. Pauses to come are not foreseen; that of a run which is paused, or over, is
    not told.
    """
    attempts = [attempt for _, attempt in store.journal.attempts()]
    tiles = store.tiles()
    done = {attempt.tile for attempt in attempts if attempt.verdict == "ok"}
    events = store.journal.events()
    waits_for = waits_for_of(events)
    if waits_for or _has_ended(events) or store.plan.follows_video or (attempts and not done):
        return Progress(len(done), len(tiles), None, waits_for)
    left_s = _left_s(store, tiles, done, attempts)
    return Progress(len(done), len(tiles), now.astimezone(UTC) + timedelta(seconds=left_s))


def _has_ended(events: Sequence[Event]) -> bool:
    turns = [event.kind for event in events if event.kind in STARTS or event.kind in ENDS]
    return bool(turns) and turns[-1] in ENDS


def waits_for_of(events: Sequence[Event]) -> WaitsFor | None:
    """What a run waits for, that is paused; None also for a moment once nothing holds it any more."""
    paused = tries_again = needs_somebody = False
    holding: set[object] = set()
    for event in events:
        if event.kind == RESUMING or event.kind in ENDS:
            holding.clear()  # of another process; a rule that trips again says so, maybe before the engine begins
        if event.kind in ("paused", "still_paused"):
            paused, tries_again = True, tries_again or "tries_again" in event.data
        if event.kind in ("continued", "trying_again", *STARTS, *ENDS):
            paused = tries_again = False
        elif event.kind == "needs_somebody":
            needs_somebody = event.data.get("reason") is not None
        elif event.kind == "interlock_tripped" and event.data.get("action") in HOLDING:
            holding.add(event.data.get("name"))
        elif event.kind == "interlock_cleared":
            holding.discard(event.data.get("name"))
    if not paused:
        return None
    if holding:
        return "an interlock, then somebody" if needs_somebody else "an interlock"
    if needs_somebody:
        return "somebody"
    return "a device to come back" if tries_again else None


def _left_s(store: RunStore, tiles: Sequence[PlannedTile], done: set[int], attempts: Sequence[Attempt]) -> float:
    """Time for the tiles that are left; one that was skipped by order is not."""
    costs = cost(store.plan, store.field)
    first_of_row = {tile.row: tile.index for tile in reversed(tiles)}
    begins_row = set(first_of_row.values())
    left = {tile.index for tile in store.to_take()} - done
    left_s = 0.0
    for of_kind in (begins_row, {tile.index for tile in tiles} - begins_row):
        tried = [attempt for attempt in attempts if attempt.tile in of_kind]
        taken = len(of_kind & done)
        per_tile_s = sum(attempt.total_s for attempt in tried) / taken if taken else costs.duration_s / costs.tiles
        left_s += per_tile_s * len(of_kind & left)
    return left_s
