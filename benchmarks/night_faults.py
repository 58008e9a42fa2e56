"""Every fault that befell the twin, and where the journal tells of it.

A fault of the wire or of a device is told by an attempt that failed with that device in its reason, or by a trouble
that was overcome; each line of the journal accounts for one fault, of the same device and at the same time. A fault of
the world is told by what was measured of it, or shown to have had no consequence.
"""

import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

import numpy as np

from acquisition.journal import Attempt, Event

LONGEST_S: Mapping[str, float] = {"camera": 3.0}
"""From the operation that a fault befalls until that is told: the longest wait for a frame;"""
LONGEST_ANSWER_S = 1.5
"""or for an answer, and for the reason of its absence."""
SLACK_S = 0.1
"""Of the comparison of two clocks over HTTP, and of scheduling, on a busy machine."""
ARRIVED_UM = 0.1
"""What the rig file calls arrived: an axis that was stuck and reads this was let go in time."""
BACKLASH_UM = 0.12
"""Of the twin whose camera has pixels of 20 nm: 6 px."""
SLIP_UM = 0.12
"""Of a drift burst: what landings, backlash and thermal drift leave unclear between two visits to the anchor."""
STEADY_NN = 20.0
"""Of the mean of some readings before and after: noise and the laser's drift are less, a contact is more."""
READINGS = 5
WHY_S = 0.7
"""A query that stays unanswered for 0.5 s is followed by one for the reason; what befalls both is one failure."""
FROZEN_AFTER = 3  # as in the twin's rig file
SOUNDS_LIKE: Mapping[str, str] = {
    "silence": "no answer|nothing|no frame",  # a camera's adapter keeps to itself why no frame comes
    "late_answer": "no answer|nothing|no frame|after its exposure",
    "partial_line": "no answer|no frame|only|closed",
    "garbage": "answered|codec|proper answer|read the answer|is silent, too",
    "closed_socket": "closed|disconnected|broke",
    "controller_error": "error|is silent, too",
    "controller_busy": "error 1005|is silent, too",
    "overload": "saturated",
    "frozen_reading": "the same digits",
    "lost_frame": "no answer|no frame",
    "frozen_frame": "pixel for pixel",
    "black_frame": "black",
    "buffer_overrun": "ran over",
}
"""How drivers tell of each."""
UNTOLD = "untold"


@dataclass(frozen=True)
class WorldClock:
    """The world's time by the wall's (seconds since 1970)."""

    wall_s: float
    world_s: float
    speed: float

    def wall_at(self, world_s: float) -> float:
        return self.wall_s + (world_s - self.world_s) / self.speed


@dataclass(frozen=True)
class Told:
    """What the journal says about one fault."""

    name: str
    device: str
    time_s: float
    kind: str
    words: str


@dataclass(frozen=True)
class _Line:
    """A line of the journal that blames a device, and when that may have begun and ended (wall)."""

    device: str
    began_s: float
    ended_s: float
    kind: str
    words: str


def account(
    faults: Sequence[Mapping[str, Any]], attempts: Sequence[Attempt], events: Sequence[Event], clock: WorldClock
) -> list[Told]:
    """Say for each fault where the journal tells of it; the kind of one of which it does not is `UNTOLD`."""
    lines = sorted(_failed(attempts, events) + _overcome(events), key=lambda line: line.ended_s)
    by_world = {"drift_burst": _burst, "stuck_axis": _stuck, "force_runaway": _runaway}
    of_devices = [fault for fault in faults if fault["name"] not in by_world]
    told = {fault["number"]: line for fault, line in _matched(of_devices, lines, clock)}
    found = []
    for fault in faults:
        if fault["name"] in by_world:
            kind, words = by_world[fault["name"]](fault, attempts, events, clock)
        elif (line := told.get(fault["number"])) is not None:
            kind, words = line.kind, line.words
        elif fault["name"] == "frozen_reading":
            kind, words = _frozen(fault, attempts, clock)
        else:
            kind, words = _beside(fault, of_devices, told, lines, clock)
        found.append(Told(fault["name"], fault["device"], fault["time_s"], kind, words))
    return found


def _matched(
    faults: Sequence[Mapping[str, Any]], lines: Sequence[_Line], clock: WorldClock
) -> list[tuple[Mapping[str, Any], _Line]]:
    """Give each line, by the time of its end, the earliest fault that it may tell of."""
    left = list(faults)
    found = []
    for line in lines:
        first = next((fault for fault in left if _may_tell(line, fault, clock)), None)
        if first is not None:
            left.remove(first)
            found.append((first, line))
    return found


def _beside(
    fault: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    told: Mapping[int, _Line],
    lines: Sequence[_Line],
    clock: WorldClock,
) -> tuple[str, str]:
    """Of two faults of one exchange one tells of both; a frame that was given up is told by why it was."""
    for other in faults:
        apart_s = abs(other["time_s"] - fault["time_s"]) / clock.speed
        line = told.get(other["number"])
        if other["device"] == fault["device"] and apart_s < WHY_S and line is not None and _covers(line, fault, clock):
            return line.kind, f"with {other['name']}: {line.words}"
    if fault["device"] == "camera":
        for line in lines:
            if line.kind == "attempt failed" and line.device != "camera" and _covers(line, fault, clock):
                return "no consequence", f"its frame was given up: {line.words}"
    return UNTOLD, ""


def _may_tell(line: _Line, fault: Mapping[str, Any], clock: WorldClock) -> bool:
    sounds_like_it = re.search(SOUNDS_LIKE[fault["name"]], line.words) is not None
    return sounds_like_it and line.device == fault["device"] and _covers(line, fault, clock)


def _covers(line: _Line, fault: Mapping[str, Any], clock: WorldClock) -> bool:
    at_s = clock.wall_at(fault["time_s"])
    return line.began_s - SLACK_S <= at_s <= line.ended_s + SLACK_S


def _failed(attempts: Sequence[Attempt], events: Sequence[Event]) -> list[_Line]:
    begun_s = sorted([_seconds(attempt.started_at) for attempt in attempts] + [_seconds(events[-1].at)])
    lines = []
    for attempt in attempts:
        if attempt.verdict != "ok" and attempt.reason is not None:
            began_s = _seconds(attempt.started_at)
            device = attempt.reason.partition(":")[0]
            ended_s = begun_s[min(bisect(begun_s, began_s), len(begun_s) - 1)]
            lines.append(_Line(device, began_s, ended_s, "attempt failed", f"tile {attempt.tile}: {attempt.reason}"))
    return lines


def _overcome(events: Sequence[Event]) -> list[_Line]:
    lines = []
    for event in events:
        if event.kind == "device_trouble":
            data: dict[str, Any] = event.data
            device = "scanner" if data["device"] == "guardian" else data["device"]  # it has a connection of its own
            told_s = _seconds(data["happened_at"])
            began_s = told_s - LONGEST_S.get(device, LONGEST_ANSWER_S)
            lines.append(_Line(device, began_s, told_s, "overcome", data["what"]))
    return lines


def _burst(
    fault: Mapping[str, Any], attempts: Sequence[Attempt], events: Sequence[Event], clock: WorldClock
) -> tuple[str, str]:
    """The visit to the anchor after it must have found the specimen elsewhere than the visit before."""
    at_s = clock.wall_at(fault["time_s"])
    visits = [event for event in events if event.kind == "drift_measured"]
    after = bisect([_seconds(event.at) for event in visits], at_s)
    slip_um = np.array([fault["parameters"][f"{axis}_um"] for axis in "xy"])
    if not visits or _seconds(visits[0].at) > at_s:
        return "no consequence", "before the anchor was first visited"
    later = visits[after : after + 2]  # a visit that was under way has seen a part of it, or none
    places_um = [np.array([event.data[f"{axis}_um"] for axis in "xy"], float) for event in (visits[after - 1], *later)]
    moved_um = [place_um - places_um[0] for place_um in places_um[1:]]
    along_um = [float(-moved @ slip_um / np.hypot(*slip_um)) for moved in moved_um]  # targets follow the specimen
    if along_um and max(along_um) > np.hypot(*slip_um) - SLIP_UM:
        return "drift measured", f"{max(along_um):.2f} um further along it than at the visit before"
    if not any(_seconds(attempt.started_at) > at_s for attempt in attempts):
        return "no consequence", "no tile after it"
    return UNTOLD, f"{max(along_um, default=0.0):.2f} um along it"


def _stuck(
    fault: Mapping[str, Any], attempts: Sequence[Attempt], events: Sequence[Event], clock: WorldClock
) -> tuple[str, str]:
    """Either the move timed out, or the axis was there, by its sensor, before the next tile was exposed."""
    at_s = clock.wall_at(fault["time_s"])
    if fault["device"] != "scanner":
        return "no consequence", "nothing moved it"
    for attempt in attempts:
        if _seconds(attempt.started_at) + attempt.total_s < at_s - SLACK_S:
            continue
        if attempt.reason is not None and "settled" in attempt.reason:
            return "attempt failed", f"tile {attempt.tile}: {attempt.reason}"
        if attempt.verdict != "ok":
            continue  # for another reason; it is taken again
        assert attempt.actual_x_um is not None
        assert attempt.actual_y_um is not None
        off_um = max(
            _off_um(attempt.actual_x_um - attempt.target_x_um), _off_um(attempt.actual_y_um - attempt.target_y_um)
        )
        told = "no consequence" if off_um < ARRIVED_UM else UNTOLD
        return told, f"tile {attempt.tile} reads {off_um:.3f} um off its target"
    return "no consequence", "no tile after it"


def _off_um(actual_less_target_um: float) -> float:
    """How far a reading is off the target, or off where an axis is sent that comes from above: lower by its play."""
    return min(abs(actual_less_target_um), abs(actual_less_target_um + BACKLASH_UM))


def _runaway(
    fault: Mapping[str, Any], attempts: Sequence[Attempt], events: Sequence[Event], clock: WorldClock
) -> tuple[str, str]:
    """The surface stays below the probe, so the force stands still; if not, the journal has it, tile by tile."""
    at_s = clock.wall_at(fault["time_s"])
    known = [(_seconds(attempt.started_at), attempt.force_nn) for attempt in attempts if attempt.force_nn is not None]
    before = [force for began_s, force in known if began_s < at_s][-READINGS:]
    after = [force for began_s, force in known if began_s > at_s][:READINGS]
    if not before or not after:
        return "no consequence", "no tile before or after it"
    change_nn = fmean(after) - fmean(before)
    if abs(change_nn) < STEADY_NN:
        return "no consequence", f"the force changed by {change_nn:.1f} nN"
    return "force measured", f"the force changed by {change_nn:.0f} nN"


def _frozen(fault: Mapping[str, Any], attempts: Sequence[Attempt], clock: WorldClock) -> tuple[str, str]:
    """It takes a few equal readings to tell that they are frozen; near the end there are none."""
    at_s = clock.wall_at(fault["time_s"])
    after = sum(attempt.force_nn is not None and _seconds(attempt.started_at) > at_s for attempt in attempts)
    return "no consequence" if after < FROZEN_AFTER else UNTOLD, f"{after} readings after it"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
