"""When a run was at work, when it waited, and when it was down, from its journal alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise, zip_longest

from acquisition.journal import Attempt, Event
from acquisition.states import Outcome

STARTS = frozenset({"run_started", "run_resumed"})
RESUMING = "resume_begun"
"""From here on another process writes, whose engine begins long after, or never."""
CUT_OFF = "cut off"
FROM_OTHERS = frozenset(
    {
        "worker_started",
        "worker_died",
        "worker_warned",
        "tile_restored",
        "telling_failed",
        "guardian_retracted",
        "guardian_released",
        "guardian_died",
        "preflight_warning",
        RESUMING,
        "run_mended",
    }
)
"""Events that are no sign of life of the engine: others write them, before it starts and after it is gone."""
ENDS = {f"run_{outcome}": outcome for outcome in Outcome}
SIGNS_S = (5.0, 60.0)
"""Between two signs of life of a paused run: what a crash ends is known as a pause until the last of them."""
SIGN_PART = 0.1
"""Of the pause so far: a short one is known to seconds, a day of pause takes some 1500 lines of the journal."""


@dataclass(frozen=True)
class Span:
    """From when to when, in seconds of the epoch, what it was, and why."""

    start_s: float
    end_s: float
    what: str
    reason: str = ""

    @property
    def length_s(self) -> float:
        return max(self.end_s - self.start_s, 0.0)  # a clock that was set back makes no time


@dataclass(frozen=True)
class Timeline:
    """`sessions` of the engine, named by how they ended (`CUT_OFF` if they did not); `pauses`; `downs` between them."""

    sessions: Sequence[Span]
    pauses: Sequence[Span]  # `paused` or `interlock`
    downs: Sequence[Span]  # after a failure or a cut-off session; after a stop it is how somebody wanted it

    @property
    def working_s(self) -> float:
        """Time in which the engine ran, pauses included."""
        return sum(session.length_s for session in self.sessions)


def sign_of_life_s(paused_s: float) -> float:
    """How long a run that has been paused for so long waits until its next sign of life."""
    return min(max(SIGN_PART * paused_s, SIGNS_S[0]), SIGNS_S[1])


def epoch_s(at: str) -> float:
    """Seconds of the epoch of a time as the journal writes it."""
    return datetime.fromisoformat(at).timestamp()


def timeline_of(attempts: Iterable[Attempt], events: Sequence[Event]) -> Timeline:
    """Order what the journal says."""
    sessions = _sessions(attempts, events)
    downs = [
        Span(earlier.end_s, later.start_s, "down")
        for earlier, later in pairwise(sessions)
        if earlier.what in (Outcome.FAILED, CUT_OFF)
    ]
    return Timeline(sessions, _pauses(events, sessions), downs)


def _sessions(attempts: Iterable[Attempt], events: Sequence[Event]) -> list[Span]:
    """From each start to its end; one that was cut off ends with the last sign of life in it."""
    signs_s = [epoch_s(event.at) for event in events if event.kind not in FROM_OTHERS and "before" not in event.data]
    signs_s += [epoch_s(attempt.started_at) for attempt in attempts]
    starts = [event for event in events if event.kind in STARTS]
    resumings = [event for event in events if event.kind == RESUMING]
    found = []
    for start, following in zip_longest(starts, starts[1:]):
        until = following.seq if following else float("inf")
        start_s, until_s = epoch_s(start.at), epoch_s(following.at) if following else float("inf")
        ends = [event for event in events if event.kind in ENDS and start.seq < event.seq < until]
        ends = [event for event in ends if not _unbegun(event)]
        if ends:
            found.append(Span(start_s, epoch_s(ends[-1].at), ENDS[ends[-1].kind]))
        else:
            gone_s = min((epoch_s(event.at) for event in resumings if event.seq > start.seq), default=until_s)
            last_s = max((sign_s for sign_s in signs_s if sign_s < min(gone_s, until_s)), default=start_s)
            found.append(Span(start_s, last_s, CUT_OFF))
    return found


def _unbegun(event: Event) -> bool:
    """Whether it is a failure before the engine began, which may come days after the last session."""
    return event.kind == "run_failed" and "before" in event.data


def _pauses(events: Sequence[Event], sessions: Sequence[Span]) -> list[Span]:
    """From each `paused` to what ended it or its session; an interlock's if that gave the reason."""
    reasons = {event.data.get("reason") for event in events if event.kind == "interlock_tripped"}
    found = []
    begun: Span | None = None
    for event in events:
        at_s = epoch_s(event.at)
        if event.kind == "paused" and begun is None:
            what = "interlock" if event.data.get("reason") in reasons else "paused"
            begun = Span(at_s, _session_end_s(at_s, sessions), what, str(event.data.get("reason") or ""))
        elif event.kind in ("continued", *STARTS, *ENDS) and begun is not None:
            found.append(replace(begun, end_s=min(at_s, begun.end_s)))
            begun = None
    return found if begun is None else [*found, begun]


def _session_end_s(at_s: float, sessions: Sequence[Span]) -> float:
    return next((session.end_s for session in reversed(sessions) if session.start_s <= at_s), at_s)
