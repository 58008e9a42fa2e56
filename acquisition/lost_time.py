"""What a run lost its time to: failed attempts by cause, pauses, control measurements, and time down."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acquisition.journal import Attempt, Event
from acquisition.timeline import Timeline, epoch_s

MEASURING = {
    "backed_off": "back-off",
    "cut_short": "told",
    "focus_measured": "focus",
    "focus_refused": "focus",
    "drift_measured": "drift",
    "drift_refused": "drift",
    "force_engaged": "force",
    "force_tripped": "force",
}
"""Events that say in `took_s` how long the scan waited for them, and what for."""
ATTENDING = MEASURING.keys() - {"backed_off", "cut_short"}
ASKED = "asked"  # by a person, who wanted both frames
OTHER = "other"  # a cause that the journal of an older run does not name


@dataclass(frozen=True)
class Loss:
    """So much time, for so many times the same cause and reason."""

    cause: str
    reason: str
    count: int
    time_s: float


def losses(attempts: Sequence[Attempt], events: Sequence[Event], timeline: Timeline) -> list[Loss]:
    """Every loss, the largest first."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for attempt in attempts:
        if attempt.verdict != "ok":
            cause = "retake" if attempt.cause == "quality" else attempt.cause or OTHER
            found[cause, attempt.reason or attempt.verdict].append(attempt.total_s - attempt.attending_s)
    for attempt, reason in _taken_anew(attempts, events):
        found["retake", reason].append(attempt.total_s - attempt.attending_s)
    for event in events:
        took_s = event.data.get("took_s")
        if event.kind in MEASURING and isinstance(took_s, int | float):
            found[MEASURING[event.kind], event.kind.replace("_", " ")].append(float(took_s))
    if any(event.kind == "force_engaged" for event in events):
        found["force", "holding the probe"].append(_attending_s(attempts, events))
    for span in (*timeline.pauses, *timeline.downs):
        found[span.what, span.reason or span.what].append(span.length_s)
    summed = [Loss(cause, reason, len(times_s), sum(times_s)) for (cause, reason), times_s in found.items()]
    return sorted(summed, key=lambda loss: (-loss.time_s, loss.cause, loss.reason))


def _taken_anew(attempts: Sequence[Attempt], events: Sequence[Event]) -> Iterator[tuple[Attempt, str]]:
    """Attempts that had been accepted until the tile was doubted, and a later one counts; and why it was doubted."""
    refused = {event.data.get("tile"): event.data.get("reason") for event in events if event.kind == "quality_refused"}
    accepted: dict[int, Attempt] = {}
    for attempt in attempts:
        if attempt.verdict == "ok":
            earlier = accepted.get(attempt.tile)
            why = attempt.reason if attempt.retake is not None else refused.get(attempt.tile)
            if earlier is not None and attempt.cause != ASKED:
                yield earlier, str(why or "taken again")
            accepted[attempt.tile] = attempt


def _attending_s(attempts: Sequence[Attempt], events: Sequence[Event]) -> float:
    """Time of attempts that went to focus, drift and probe, less what an event in that attempt has told already."""
    spans = sorted((epoch_s(attempt.started_at), attempt.total_s) for attempt in attempts)
    starts_s = [start_s for start_s, _ in spans]
    left_s = sum(attempt.attending_s for attempt in attempts)
    for event in events:
        took_s, at_s = event.data.get("took_s"), epoch_s(event.at)
        place = bisect(starts_s, at_s) - 1
        if event.kind in ATTENDING and isinstance(took_s, int | float) and place >= 0:
            start_s, total_s = spans[place]
            left_s -= float(took_s) if at_s <= start_s + total_s else 0.0
    return max(left_s, 0.0)


def by_cause(found: Sequence[Loss]) -> dict[str, float]:
    """Seconds lost to each cause, the largest first."""
    summed: defaultdict[str, float] = defaultdict(float)
    for loss in found:
        summed[loss.cause] += loss.time_s
    return dict(sorted(summed.items(), key=lambda item: -item[1]))
