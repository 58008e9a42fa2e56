"""When a digital output fires on an axis' way (E-727 manual, `CTO`): pure functions of a path."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from hardware_sim.sensor_path import Path, Values

REACHED_UM = 1e-6
"""A path that ends on a level reaches it, whatever the last bit of a float says."""


class Mode(IntEnum):
    """`CTO <line> 3 <mode>`."""

    POSITION_DISTANCE = 0
    ON_TARGET = 2
    BAND = 3
    GENERATOR = 4


@dataclass(frozen=True)
class Output:
    """The conditions of one line; the defaults keep it silent (a choice)."""

    step_um: float = 0.1
    axis: int = 0
    mode: Mode = Mode.GENERATOR
    low_um: float = 0.0
    high_um: float = 0.0
    active_high: bool = True
    """The trigger lines carry active edges, so this changes nothing behind them."""
    start_um: float = 0.0
    stop_um: float = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether the thresholds limit where it fires; equal ones are not used."""
        return self.start_um != self.stop_um


@dataclass(frozen=True)
class State:
    """What a line remembers between two motions."""

    active: bool
    """Between its thresholds, or inside its band."""
    last_um: float
    """Place of the last pulse, from which the next distance counts."""


@dataclass(frozen=True)
class Event:
    """A line's state changes; `fires` says whether that is an edge."""

    time_s: float
    state: State
    fires: bool


def at_rest(output: Output, place_um: float) -> State:
    """Say what a line knows when it is configured while its axis stands at a place."""
    return State(active=output.mode is Mode.POSITION_DISTANCE and not output.is_limited, last_um=place_um)


def events(output: Output, path: Path, state: State, one_way: bool) -> Iterator[Event]:
    """Tell all that happens to a line on a path, in order."""
    if output.mode is Mode.BAND and not state.active and output.low_um <= path.places_um[0] <= output.high_um:
        state = replace(state, active=True)
        yield Event(float(path.times_s[0]), state, fires=True)
    for stretch in path.stretches():
        for event in _band(output, stretch) if output.mode is Mode.BAND else _distance(output, stretch, state, one_way):
            state = event.state
            yield event


def _band(output: Output, stretch: Path) -> Iterator[Event]:
    """High inside the band: an edge where the stretch enters it."""
    first_um, last_um = float(stretch.places_um[0]), float(stretch.places_um[-1])
    near_um, far_um = (output.low_um, output.high_um) if last_um > first_um else (output.high_um, output.low_um)
    way = np.sign(last_um - first_um)
    for level_um, enters in ((near_um, True), (far_um, False)):
        if (first_um - level_um) * way < 0 <= (last_um - level_um) * way + (REACHED_UM if enters else -REACHED_UM):
            time_s = float(stretch.crossings_s(np.array([level_um]))[0])
            yield Event(time_s, State(active=enters, last_um=level_um), fires=enters)


def _distance(output: Output, stretch: Path, state: State, one_way: bool) -> Iterator[Event]:
    """A pulse each step, from the start threshold to the stop threshold where they are used."""
    first_um, last_um = float(stretch.places_um[0]), float(stretch.places_um[-1])
    way = float(np.sign(last_um - first_um))
    forward = float(np.sign(output.stop_um - output.start_um))
    if not state.active and way == forward:
        behind_um, ahead_um = (output.start_um - first_um) * way, (last_um - output.start_um) * way
        if min(behind_um, ahead_um) < -REACHED_UM:
            return
        state = State(active=True, last_um=output.start_um)
        start_um = output.start_um if behind_um > 0 else first_um
        yield Event(float(stretch.crossings_s(np.array([start_um]), leaving=True)[0]), state, fires=True)
    if not state.active or way == 0:
        return
    rim_um = last_um
    if output.is_limited:
        rim_um = output.stop_um if way == forward else output.start_um
    leaves = (last_um - rim_um) * way > REACHED_UM
    if way == forward or not (one_way and output.is_limited):
        for event in _pulses(output, stretch, state, way, rim_um if leaves else last_um):
            state = event.state
            yield event
    if leaves:
        yield Event(float(stretch.crossings_s(np.array([rim_um]))[0]), replace(state, active=False), fires=False)


def _pulses(output: Output, stretch: Path, state: State, way: float, end_um: float) -> Iterator[Event]:
    """A pulse at each step from the last one, up to `end_um`."""
    count = int(((end_um - state.last_um) * way + REACHED_UM) / output.step_um)
    levels_um: Values = state.last_um + way * output.step_um * np.arange(1, max(count, 0) + 1, dtype=np.float64)
    for time_s, level_um in zip(stretch.crossings_s(levels_um).tolist(), levels_um.tolist(), strict=True):
        yield Event(time_s, replace(state, last_um=level_um), fires=True)
