"""What a run has to say for itself: counts, times and losses, from its journal alone."""

from collections.abc import Sequence

import numpy as np

from acquisition.journal import Attempt, Event
from acquisition.lost_time import by_cause, losses
from acquisition.run_store import RunStore
from acquisition.tile_fates import tile_fates
from acquisition.timeline import ENDS, timeline_of


def run_facts(store: RunStore) -> dict[str, object]:
    """The acquisition's part of `summary.json`.

    `total_s` is the time in which the engine ran, `physics_s` that in which the rig moved, settled, dwelt or exposed
    for a tile that was taken. The overhead of a tile is the rest of its time from the end of the attempt before it,
    less what focus, drift and probe took, which counts as lost.
    """
    attempts = [attempt for _, attempt in store.journal.attempts()]
    events = store.journal.events()
    timeline = timeline_of(attempts, events)
    lost = losses(attempts, events, timeline)
    taken = [attempt for attempt in attempts if attempt.verdict == "ok"]
    physics_s = [(attempt.settle_s or 0.0) + attempt.exposure_s for attempt in taken]
    overhead_ms = [
        1e3 * (attempt.total_s - attempt.attending_s - busy_s) for attempt, busy_s in zip(taken, physics_s, strict=True)
    ]
    return {
        "tiles": _counts(store, attempts),
        "time": {
            "total_s": timeline.working_s,
            "physics_s": sum(physics_s),
            "overhead_ms_p50": _percentile(overhead_ms, 50),
            "overhead_ms_p99": _percentile(overhead_ms, 99),
        },
        "lost_time_s": by_cause(lost),
        "lost_time_details": [vars(loss) for loss in lost],
        "resumed": sum(event.kind == "run_resumed" for event in events),
        "outcome": outcome_of(events),
    }


def outcome_of(events: Sequence[Event]) -> str | None:
    """How the run ended; None while it goes on, and for one that was cut off."""
    turns = [event.kind for event in events if event.kind in ENDS or event.kind == "run_resumed"]
    return ENDS.get(turns[-1]) if turns else None


def _counts(store: RunStore, attempts: Sequence[Attempt]) -> dict[str, int]:
    """Tiles by what became of them; a tile that was taken at its third attempt is both `ok` and `retried`."""
    fates = tile_fates(store.tiles(), attempts)
    return {
        "planned": len(fates),
        "ok": sum(found.taken is not None for found in fates),
        "retried": sum(len(found.attempts) > 1 for found in fates),
        "flagged": sum(found.fate == "flagged" for found in fates),
        "skipped": sum(found.fate == "skipped" for found in fates),
        "failed": sum(found.fate == "failed" for found in fates),
    }


def _percentile(values: list[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
