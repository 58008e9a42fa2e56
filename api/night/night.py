"""All that is known about a run, read from its directory: whatever is missing yet is left out."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acquisition.journal import Attempt, Event
from acquisition.lost_time import Loss, losses
from acquisition.progress import Progress, progress_of
from acquisition.run_store import RunStore
from acquisition.summary import outcome_of, run_facts
from acquisition.tile_fates import TileFate, tile_fates
from acquisition.timeline import Timeline, timeline_of
from reconstruction.report import merged


@dataclass(frozen=True)
class Night:
    """A run as it stands."""

    path: Path
    run: Mapping[str, Any]  # run.json
    attempts: Sequence[Attempt]
    events: Sequence[Event]
    timeline: Timeline
    lost: Sequence[Loss]
    fates: Sequence[TileFate]
    summary: Mapping[str, Any]
    progress: Progress
    live: bool
    read_at_s: float  # seconds of the epoch

    @property
    def name(self) -> str:
        return str(self.run["plan"]["name"])

    @property
    def outcome(self) -> str:
        """In one or two words."""
        if self.live:
            return "running"
        return outcome_of(self.events) or ("cut off" if self.timeline.sessions else "not begun")

    def of(self, *kinds: str) -> list[Event]:
        """The events of some kinds."""
        return [event for event in self.events if event.kind in kinds]


def read_night(run: Path, results: Path) -> Night:
    """Read a run and what was made of it in the folder `results`.

    Raises:
        RunError: not a run.
    """
    store = RunStore(run)
    try:
        attempts = [attempt for _, attempt in store.journal.attempts()]
        events = store.journal.events()
        timeline = timeline_of(attempts, events)
        return Night(
            path=run,
            run=json.loads((run / "run.json").read_text(encoding="utf-8")),
            attempts=attempts,
            events=events,
            timeline=timeline,
            lost=losses(attempts, events, timeline),
            fates=tile_fates(store.tiles(), attempts),
            summary=merged(_summary(results), run_facts(store)),
            progress=progress_of(store, datetime.now(UTC)),
            live=store.is_being_acquired() and outcome_of(events) is None,
            read_at_s=time.time(),
        )
    finally:
        store.close()


def _summary(results: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((results / "report" / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
