"""What somebody should look at in the morning, in sentences, the gravest first."""

from collections.abc import Sequence
from itertools import groupby

from acquisition.journal import Attempt, Event
from acquisition.timeline import epoch_s
from api.night.night import Night
from api.night.words import clock, duration

SLOW = 0.1  # of the night lost: worth a remark
MANY = 0.1  # of the searches for the focus that found none; now and then one does, and the neighbours help out
IN_A_ROW = 3  # tiles that failed one after the other: it is the rig then, not the tile


def concerns(night: Night) -> list[str]:
    """Everything that is not as it was planned; empty after a good night."""
    return [
        *_end(night),
        *_tiles(night),
        *_safety(night),
        *_guardian(night),
        *_measuring(night),
        *_doubts(night),
        *_machinery(night),
    ]


def _end(night: Night) -> list[str]:
    found = []
    if night.outcome == "failed" and (ends := night.of("run_failed")):
        found.append(f"The run failed at {clock(epoch_s(ends[-1].at))}: {ends[-1].data.get('reason')}.")
    elif night.outcome == "stopped" and (ends := night.of("run_stopped")):
        found.append(_stopped(ends[-1]))
    elif night.outcome == "cut off":
        found.append("The run was cut off, by a crash or a power cut; `nanoraster resume` takes the rest.")
    if _goes_on(night) and (said := night.of("needs_somebody")) and (reason := said[-1].data.get("reason")):
        found.append(f"It waits for somebody, and will be paused when it goes on: {reason}.")
    if failed := night.of("mosaic_failed"):
        found.append(f"The mosaic could not be made: {failed[-1].data.get('reason')}; `nanoraster resume` tries again.")
    if night.timeline.downs:
        down_s = sum(span.length_s for span in night.timeline.downs)
        found.append(f"The run was down {_times(len(night.timeline.downs))}, {duration(down_s)} in all, and went on.")
    return found


def _stopped(end: Event) -> str:
    at, reason = clock(epoch_s(end.at)), end.data.get("reason")
    if end.data.get("for_now"):
        return f"The run was stopped for now at {at}: {reason}; its job goes on with it."
    why = f"The run was stopped at {at}: {reason}" if reason else f"Somebody stopped the run at {at}"
    return f"{why}; `nanoraster resume` takes the rest."


def _goes_on(night: Night) -> bool:
    """Whether a run that is not at work was ended by nobody for good."""
    ends = night.of("run_stopped")
    return night.outcome == "cut off" or (night.outcome == "stopped" and bool(ends and ends[-1].data.get("for_now")))


def _tiles(night: Night) -> list[str]:
    tiles = night.summary["tiles"]
    found = []
    if tiles["skipped"]:
        found.append(f"{_tiles_are(tiles['skipped'])} given up, for the reasons below; the mosaic may have holes.")
    if tiles["failed"]:
        found.append(f"{_tiles_are(tiles['failed'])} tried and not taken.")
    if tiles["flagged"]:
        found.append(f"{_tiles_are(tiles['flagged'])} taken but doubtful.")
    model = night.summary.get("model") or {}
    if invented := model.get("doubtful_tiles"):
        where = [f"; most of all {at['tile']} at x {at['x_px']}, y {at['y_px']} px" for at in model.get("misfits", [])]
        why = f"what they show does not explain what came{''.join(where[:1])}."
        found.append(f"{_tiles_are(len(invented))} restored doubtfully: {why}")
    if refused := {event.data.get("tile") for event in night.of("quality_refused")}:
        found.append(f"{_tiles_are(len(refused))} refused by the quality check, and tried again as the plan allows.")
    if (in_a_row := _failed_in_a_row(night)) >= IN_A_ROW:
        found.append(f"{in_a_row} tiles in a row failed: the rig itself was in trouble.")
    if (by_stage := tiles.get("placed_by_stage", 0)) and not night.live:
        found.append(f"{_tiles_are(by_stage)} placed by the stage alone: nothing in the overlaps says where they lie.")
    return found


def _safety(night: Night) -> list[str]:
    found = []
    if trips := night.of("force_tripped"):
        found.append(f"The force tripped {_times(len(trips))}, and the probe was retracted: {_reason(trips)}.")
    if any(event.data.get("trouble") for event in trips):
        found.append("After a trip the probe was not free. Look at the rig before anything is moved.")
    for event in night.of("interlock_tripped"):
        name, reason = event.data.get("name"), event.data.get("reason")
        found.append(f"Interlock {name} tripped at {clock(epoch_s(event.at))}: {reason}.")
    return found


def _guardian(night: Night) -> list[str]:
    found = []
    retracted = night.of("guardian_retracted")
    if any(event.data.get("retracted") is False for event in retracted):
        found.append("The guardian could not retract the probe. Look at the rig before anything is moved.")
    elif retracted:
        found.append(f"The guardian retracted the probe {_times(len(retracted))}: {_reason(retracted)}.")
    last = night.of("guardian_retracted", "guardian_released")[-1:]
    if last and last[0].kind == "guardian_retracted":
        found.append("The guardian has not given the probe back since.")
    if died := night.of("guardian_died"):
        found.append(f"The guardian died {_times(len(died))}; until the next one was there, nobody watched the probe.")
    return found


def _measuring(night: Night) -> list[str]:
    """What the run could not find out, and went on without."""
    found = []
    drift, no_drift = night.of("drift_measured"), night.of("drift_refused")
    if no_drift and not drift:
        found.append(f"Drift was not corrected at all: {_reason(no_drift)}.")
    elif no_drift:
        tries = len(drift) + len(no_drift)
        found.append(f"Drift could not be measured {len(no_drift)} of {tries} times: {_reason(no_drift)}.")
    focus, no_focus = night.of("focus_measured"), night.of("focus_refused")
    if len(no_focus) > MANY * (tries := len(focus) + len(no_focus)):
        found.append(f"The focus was not found {len(no_focus)} of {tries} times: {_reason(no_focus)}.")
    if late := night.of("overlap_unknown"):
        found.append(f"The overlaps of {_rows(len(late))} were not known in time to correct the rows after.")
    return found


def _doubts(night: Night) -> list[str]:
    kinds = ("calibration_doubtful", "preflight_warning", "clock_jumped", "overlap_kept", "worker_warned")
    said = (event.data.get("reason") for event in night.of(*kinds))
    return [f"{str(reason)[:1].upper()}{str(reason)[1:]}." for reason in dict.fromkeys(said) if reason]


def _machinery(night: Night) -> list[str]:
    found = []
    if died := night.of("worker_died"):
        found.append(f"The mosaic's worker died {_times(len(died))}: {died[-1].data.get('reason')}.")
    failed = night.of("telling_failed")
    down = {(event.data.get("channel"), bool(event.data.get("partly"))): event.data.get("reason") for event in failed}
    for (channel, partly), reason in down.items():
        found.append(f"{'Not everybody' if partly else 'Nobody'} could be told by {channel}: {reason}.")
    lost_s = sum(night.summary["lost_time_s"].values()) - night.summary["lost_time_s"].get("down", 0.0)
    working_s = night.timeline.working_s
    if working_s and lost_s > SLOW * working_s:
        found.append(f"{lost_s / working_s:.0%} of the time was lost, see below.")
    return found


def _failed_in_a_row(night: Night) -> int:
    """The most tiles that failed one after the other, without one between them that was taken; a sweep counts once."""
    tries = [attempt for attempt in night.attempts if attempt.cause not in ("quality", "told")]
    failing = (list(group) for taken, group in groupby(tries, lambda attempt: attempt.verdict == "ok") if not taken)
    swept = night.run["plan"]["tiles"]["mode"] == "line"
    return max((len(_failures(group, swept)) for group in failing), default=0)


def _failures(attempts: Sequence[Attempt], swept: bool) -> set[int]:
    """The tiles at which something failed; of a sweep, whose tiles have equal shares of its time, the first."""
    shared = groupby(attempts, lambda attempt: (attempt.row, attempt.total_s) if swept else attempt.tile)
    return {next(together).tile for _, together in shared}


def _reason(events: Sequence[Event]) -> str:
    """The last one's, which is often that of all."""
    return str(events[-1].data.get("reason"))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _tiles_are(count: int) -> str:
    return "1 tile was" if count == 1 else f"{count} tiles were"
