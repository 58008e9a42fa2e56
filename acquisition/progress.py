"""How far a run is, and when it will probably be done."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from acquisition.preflight import cost
from acquisition.run_store import RunStore

RECENT = 100  # attempts; enough for a mean, few enough to follow a night that slows down


@dataclass(frozen=True)
class Progress:
    """Tiles that are done, of how many; `ends_at` None where it cannot be told."""

    done: int
    planned: int
    ends_at: datetime | None


def progress_of(store: RunStore, now: datetime) -> Progress:
    """Count what the journal holds; what is left will take as long as the last attempts did.

    Before the first attempt the estimate is that of the plan. Pauses to come are not foreseen.
    """
    attempts = [attempt for _, attempt in store.journal.attempts()]
    planned = len(store.tiles())
    done = len({attempt.tile for attempt in attempts if attempt.verdict == "ok"})
    recent = attempts[-RECENT:]
    taken = sum(attempt.verdict == "ok" for attempt in recent)
    if not attempts:
        costs = cost(store.plan, store.field)
        per_tile_s = costs.duration_s / costs.tiles
    elif taken:
        per_tile_s = sum(attempt.total_s for attempt in recent) / taken
    else:
        return Progress(done, planned, None)
    return Progress(done, planned, now.astimezone(UTC) + timedelta(seconds=per_tile_s * (planned - done)))
