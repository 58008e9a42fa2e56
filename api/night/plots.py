"""The charts of a night: what was measured tile by tile, and what the control loops did about it."""

from collections.abc import Callable, Sequence
from typing import Literal

from acquisition.journal import Attempt, Event
from acquisition.timeline import epoch_s
from api.night.charts import Level, Series, time_chart
from api.night.night import Night
from api.night.time_axis import TimeAxis

NM_PER_UM = 1000.0


def plots(night: Night) -> str:
    """Every chart that has something to show, on the same axis."""
    if not night.timeline.sessions:
        return ""
    shaded = (*night.timeline.pauses, *night.timeline.downs)
    axis = TimeAxis(night.timeline.sessions[0].start_s, night.timeline.sessions[-1].end_s, shaded)
    charts = [_tile_time, _drift, _force, _focus_height, _focus_score]
    return "".join(chart(night, axis) for chart in charts)


def _tile_time(night: Night, axis: TimeAxis) -> str:
    taken = [attempt for attempt in night.attempts if attempt.verdict == "ok"]
    lost = [attempt for attempt in night.attempts if attempt.verdict != "ok"]
    series = [
        _of_tiles("taken", taken, lambda attempt: attempt.total_s, "ok"),
        _of_tiles("lost", lost, lambda attempt: attempt.total_s, "failed"),
    ]
    return time_chart("Time per attempt, s (logarithmic)", axis, series, log=True)


def _drift(night: Night, axis: TimeAxis) -> str:
    taken = [attempt for attempt in night.attempts if attempt.verdict == "ok"]
    visits = night.of("drift_measured")
    if not visits:
        return ""
    series = [
        _of_tiles("x", taken, lambda attempt: attempt.drift_x_um * NM_PER_UM, "first", "line"),
        _of_tiles("y", taken, lambda attempt: attempt.drift_y_um * NM_PER_UM, "second", "line"),
        _of_events("x measured", visits, "x_um", NM_PER_UM, "first"),
        _of_events("y measured", visits, "y_um", NM_PER_UM, "second"),
    ]
    return time_chart("Drift of the specimen, nm; lines: as corrected", axis, series)


def _force(night: Night, axis: TimeAxis) -> str:
    taken = [attempt for attempt in night.attempts if attempt.verdict == "ok"]
    trips = night.of("force_tripped")
    plan = night.run["plan"]["force"]
    levels = []
    if plan["policy"] != "none":
        levels = [Level("limit", plan["limit_nn"]), Level("set-point", plan["set_point_nn"])]
    series = [_of_tiles("force", taken, lambda attempt: attempt.force_nn, "first")]
    if trips:
        at_limit = [float(plan["limit_nn"])] * len(trips)
        series.append(Series("trip-wire", [epoch_s(event.at) for event in trips], at_limit, "failed", "dots"))
    return time_chart("Force of the probe, nN", axis, series, levels)


def _focus_height(night: Night, axis: TimeAxis) -> str:
    series = [
        _of_events("measured", night.of("focus_measured"), "z_um", 1.0, "first"),
        _of_events("refused", night.of("focus_refused"), "z_um", 1.0, "failed"),
    ]
    return time_chart("Focus, z in um", axis, series)


def _focus_score(night: Night, axis: TimeAxis) -> str:
    taken = [attempt for attempt in night.attempts if attempt.verdict == "ok"]
    return time_chart(
        "Sharpness of the tiles", axis, [_of_tiles("sharpness", taken, lambda each: each.focus_score, "first")]
    )


def _of_tiles(
    label: str,
    attempts: Sequence[Attempt],
    value: Callable[[Attempt], float | None],
    colour: str,
    drawn_as: Literal["line", "dots"] = "dots",
) -> Series:
    found = [(epoch_s(attempt.started_at), of) for attempt in attempts if (of := value(attempt)) is not None]
    return Series(label, [at for at, _ in found], [of for _, of in found], colour, drawn_as)


def _of_events(label: str, events: Sequence[Event], key: str, factor: float, colour: str) -> Series:
    found = [(epoch_s(event.at), of) for event in events if isinstance(of := event.data.get(key), int | float)]
    return Series(label, [at for at, _ in found], [of * factor for _, of in found], colour, "dots")
