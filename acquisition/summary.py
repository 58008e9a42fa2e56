"""What a run has to say for itself: counts, times and losses, from its journal alone."""

from collections import defaultdict

import numpy as np

from acquisition.run_store import RunStore


def run_facts(store: RunStore) -> dict[str, object]:
    """The acquisition's part of `summary.json`.

    `physics_s` is the time in which the rig moved, settled or exposed; the overhead of a tile is the rest of its
    time from the end of the attempt before it.
    """
    attempts = [attempt for _, attempt in store.journal.attempts()]
    taken = [attempt for attempt in attempts if attempt.verdict == "ok"]
    physics_s = [(attempt.settle_s or 0.0) + attempt.exposure_s for attempt in taken]
    overhead_ms = [1e3 * (attempt.total_s - busy) for attempt, busy in zip(taken, physics_s, strict=True)]
    done = {attempt.tile for attempt in taken}
    ended = {attempt.tile: attempt.verdict for attempt in attempts}
    lost_s: defaultdict[str, float] = defaultdict(float)
    for attempt in attempts:
        if attempt.verdict != "ok":
            lost_s[attempt.reason or attempt.verdict] += attempt.total_s
    return {
        "tiles": {
            "planned": len(store.tiles()),
            "ok": len(done),
            "retried": len({attempt.tile for attempt in attempts if attempt.attempt > 1}),
            "skipped": sum(verdict == "skipped" for verdict in ended.values()),
            "failed": sum(verdict in ("failed", "retry") for verdict in ended.values()),
        },
        "time": {
            "total_s": sum(attempt.total_s for attempt in attempts),
            "physics_s": sum(physics_s),
            "overhead_ms_p50": _percentile(overhead_ms, 50),
            "overhead_ms_p99": _percentile(overhead_ms, 99),
        },
        "lost_time_s": dict(lost_s),
        "outcome": _outcome(store),
    }


def _outcome(store: RunStore) -> object:
    """How the run ended; None for one that was cut off."""
    ends = [event.data["outcome"] for event in store.journal.events() if event.kind == "run_ended"]
    return ends[-1] if ends else None


def _percentile(values: list[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
