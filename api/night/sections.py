"""The sections of the morning report below its head: losses, exceptions, events, overlaps, settings."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from acquisition.lost_time import by_cause
from acquisition.telling_message import particulars, words
from acquisition.timeline import epoch_s
from api.night.night import Night
from api.night.quality_map import EXPLAINED
from api.night.words import day_and_clock, duration, flat, moment, table

MOST_ROWS = 300  # of a table; the journal holds them all
SECONDS_A_DAY = 86_400
ROUTINE = frozenset(
    {
        "focus_measured",
        "drift_measured",
        "force_measured",
        "force_engaged",
        "overlap_measured",
        "worker_started",
        "still_paused",
    }
)
"""Events that come tile by tile or in every run; the charts show them."""
SHOWN_ELSEWHERE = frozenset({"faults", "lost_time_details", "lost_time_s", "outcome", "model"})
CAUSES = {
    "timeout": "no answer in time",
    "protocol": "garbled answers and lost frames",
    "rejected": "a device refused",
    "lost": "a connection was lost",
    "disk": "storing failed",
    "back-off": "waiting before another try",
    "paused": "paused",
    "interlock": "held by an interlock",
    "focus": "finding the focus",
    "drift": "measuring drift",
    "force": "probe and force",
    "retake": "taking doubtful tiles again",
    "told": "skipped or cut short on demand",
    "down": "down, until it was started again",
}


def section(title: str, content: str) -> str:
    """A part of the page with its heading; nothing if it is empty."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def lost(night: Night) -> str:
    """Bars of the time lost, by cause, and each reason below."""
    causes = by_cause(night.lost)
    if not causes:
        return ""
    longest_s = max(causes.values()) or 1.0
    bars = "".join(
        f'<span>{escape(CAUSES.get(cause, cause))}</span><i style="width:{100 * lost_s / longest_s:.1f}%"></i>'
        f"<span>{duration(lost_s)}</span>"
        for cause, lost_s in causes.items()
    )
    rows = [
        (CAUSES.get(each.cause, each.cause), duration(each.time_s), str(each.count), each.reason) for each in night.lost
    ]
    detail = _folded("Each reason", _scrolled(rows, ("cause", "lost", "times", "in its own words")))
    return section("Lost time by cause", f'<div class="bars">{bars}</div>{detail}')


def exceptions(night: Night) -> str:
    """A table of the tiles that were not taken at once and without remark."""
    found = [fate for fate in night.fates if fate.fate not in ("ok", "missing")]
    if not found:
        return ""
    order = ("failed", "skipped", "flagged", "retried")
    rows = [
        (
            str(each.tile.index),
            f"{each.tile.row}, {each.tile.col}",
            EXPLAINED[each.fate],
            str(len(each.attempts)),
            "; ".join(each.reasons),
        )
        for each in sorted(found, key=lambda each: order.index(each.fate))
    ]
    head = ("tile", "row, column", "what became of it", "attempts", "why")
    return section("Tiles that did not go well at once", _scrolled(rows, head))


def events(night: Night) -> str:
    """What happened, in its order, without what happens at every tile; of too much for a page, the end."""
    told = [event for event in night.events if event.kind not in ROUTINE]
    rows = [(day_and_clock(epoch_s(each.at)), words(each), particulars(each)) for each in told]
    if not rows:
        return ""
    earlier = len(rows) - MOST_ROWS
    before = f"<p class='quiet'>After {earlier} earlier events, in journal.db:</p>" if earlier > 0 else ""
    return section("What happened", before + _scrolled(rows[-MOST_ROWS:]))


def overlaps(night: Night, edges: str) -> str:
    """The map of the overlaps, with its legend."""
    if not edges:
        return ""
    legend = (
        "<p class='quiet'>Lines join neighbours, from red (no match) to green (full match); dashed ones had no say. "
        "Dashed tiles sit where the stage model puts them.</p>"
    )
    return section("Overlaps", f'{legend}<div class="edges">{edges}</div>')


def settings(night: Night) -> str:
    """All settings, figures and versions, folded away."""
    run = night.run
    rig: Mapping[str, Any] = run["rig"]
    model = night.summary.get("model") or run["plan"]["reconstruction"]
    figures = {key: value for key, value in night.summary.items() if key not in SHOWN_ELSEWHERE}
    versions = {**run["versions"], "plan hash": run["plan_hash"], "run directory": night.path.absolute()}
    parts = [
        _folded("Plan", table(flat(run["plan"]))),
        _folded("Calibration", f"<p>{escape(_age(run))}</p>{table(flat(rig.get('calibration', {})))}"),
        _folded("Devices", table(flat(rig.get("devices", {})))),
        _folded("Restoration", table(flat(model))),
        _folded("Figures", table(flat(figures))),
        _folded("Versions", table(flat(versions))),
    ]
    return section("Settings", "".join(parts))


def _age(run: Mapping[str, Any]) -> str:
    """How old the calibration was when the run began."""
    at = run["rig"].get("calibration", {}).get("measured_at")
    if not at:
        return "The calibration has no date."
    days = (epoch_s(run["created_at"]) - epoch_s(at)) / SECONDS_A_DAY
    return f"Measured {moment(epoch_s(at))}, {days:.0f} days before this run."


def _folded(title: str, content: str) -> str:
    return f'<details><summary>{escape(title)}</summary><div class="scroll">{content}</div></details>'


def _scrolled(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    left = len(rows) - MOST_ROWS
    more = f"<p class='quiet'>And {left} more, in journal.db.</p>" if left > 0 else ""
    return f'<div class="scroll">{table(rows[:MOST_ROWS], head)}</div>{more}'
