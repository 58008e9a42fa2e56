"""What somebody should look at in the morning, in sentences, the gravest first."""

from acquisition.timeline import epoch_s
from api.night.night import Night
from api.night.words import clock, duration

SLOW = 0.1  # of the night lost: worth a remark


def concerns(night: Night) -> list[str]:
    """Everything that is not as it was planned; empty after a good night."""
    return [*_end(night), *_tiles(night), *_safety(night), *_doubts(night), *_machinery(night)]


def _end(night: Night) -> list[str]:
    found = []
    if night.outcome == "failed" and (ends := night.of("run_failed")):
        found.append(f"The run failed at {clock(epoch_s(ends[-1].at))}: {ends[-1].data.get('reason')}.")
    elif night.outcome == "stopped":
        found.append("Somebody stopped the run; `nanoraster resume` takes the rest.")
    elif night.outcome == "cut off":
        found.append("The run was cut off, by a crash or a power cut; `nanoraster resume` takes the rest.")
    if night.timeline.downs:
        down_s = sum(span.length_s for span in night.timeline.downs)
        found.append(f"The run was down {_times(len(night.timeline.downs))}, {duration(down_s)} in all, and went on.")
    return found


def _tiles(night: Night) -> list[str]:
    tiles = night.summary["tiles"]
    found = []
    if tiles["skipped"]:
        found.append(f"{_tiles_are(tiles['skipped'])} given up, for the reasons below; the mosaic may have holes.")
    if tiles["failed"]:
        found.append(f"{_tiles_are(tiles['failed'])} tried and not taken.")
    if tiles["flagged"]:
        found.append(f"{_tiles_are(tiles['flagged'])} taken but doubtful.")
    if (by_stage := tiles.get("placed_by_stage", 0)) and not night.live:
        found.append(f"{_tiles_are(by_stage)} placed by the stage alone: nothing in the overlaps says where they lie.")
    return found


def _safety(night: Night) -> list[str]:
    found = []
    retracted = night.of("guardian_retracted")
    if any(event.data.get("retracted") is False for event in retracted):
        found.append("The guardian could not retract the probe. Look at the rig before anything is moved.")
    elif retracted:
        found.append(f"The guardian retracted the probe {_times(len(retracted))}: the service did not answer.")
    if trips := night.of("force_tripped"):
        found.append(f"The force tripped {_times(len(trips))}, and the probe was retracted.")
    for event in night.of("interlock_tripped"):
        name, reason = event.data.get("name"), event.data.get("reason")
        found.append(f"Interlock {name} tripped at {clock(epoch_s(event.at))}: {reason}.")
    return found


def _doubts(night: Night) -> list[str]:
    kinds = ("calibration_doubtful", "preflight_warning", "clock_jumped", "overlap_kept")
    said = (event.data.get("reason") for event in night.of(*kinds))
    return [f"{str(reason)[:1].upper()}{str(reason)[1:]}." for reason in dict.fromkeys(said) if reason]


def _machinery(night: Night) -> list[str]:
    found = []
    if died := night.of("worker_died"):
        found.append(f"The mosaic's worker died {_times(len(died))}: {died[-1].data.get('reason')}.")
    for event in night.of("telling_failed"):
        found.append(f"Nobody could be told by {event.data.get('channel')}: {event.data.get('reason')}.")
    lost_s = sum(night.summary["lost_time_s"].values()) - night.summary["lost_time_s"].get("down", 0.0)
    working_s = night.timeline.working_s
    if working_s and lost_s > SLOW * working_s:
        found.append(f"{lost_s / working_s:.0%} of the time was lost, see below.")
    return found


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _tiles_are(count: int) -> str:
    return "1 tile was" if count == 1 else f"{count} tiles were"
