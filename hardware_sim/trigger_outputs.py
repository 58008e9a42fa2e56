"""The digital outputs of the E-727 on the trigger lines: `CTO`, `TWS`, `TWC`."""

import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from hardware_sim.clock import Clock
from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import (
    Command,
    Commands,
    Items,
    array,
    flag,
    groups,
    number,
    real,
    switch,
    whole,
    without_arguments,
)
from hardware_sim.gcs_parameters import SERVO_TIME_S, SINGLE_DIRECTION, ParameterMemory
from hardware_sim.line_levels import Levels
from hardware_sim.mechanics import Scanner
from hardware_sim.on_target import OnTarget
from hardware_sim.position_triggers import Event, Mode, Output, State, at_rest, events
from hardware_sim.sensor_path import Path, Values
from hardware_sim.trigger_lines import LINES, TriggerLines
from hardware_sim.wave_generator import WaveRun
from hardware_sim.wave_tables import MEMORY_POINTS

SMALLEST_STEP_UM = 1e-3
WINDOW_S = 0.25
"""World time of a motion that is looked at in one go: some milliseconds of work, even where it fires ten times each."""
FORGOTTEN_S = 60.0
"""What happened to a line for which nobody asked for so long is not looked up any more."""
PARAMETERS = ("1", "2", "3", "5", "6", "7", "8", "9")
STEP, AXIS, MODE, LOW, HIGH, POLARITY, START, STOP = PARAMETERS
FIELDS = {STEP: "step_um", LOW: "low_um", HIGH: "high_um", START: "start_um", STOP: "stop_um"}


class _Line:
    """One output since it was configured: what is announced of it, and the state that it had before."""

    def __init__(self, output: Output, state: State, since_s: float) -> None:
        self.output = output
        self.known_until_s = since_s
        self.is_complete = False
        """Whether all of the present motion is announced."""
        self.run: WaveRun | None = None
        self.rising: list[int] = []
        self.falling: list[int] = []
        """Points of the run at which the line is switched."""
        self.cycles_announced = 0
        self._before = state
        self._announced: list[Event] = []

    @property
    def state(self) -> State:
        """What it is when all has happened that is announced."""
        return self._announced[-1].state if self._announced else self._before

    def go_to(self, events: list[Event], until_s: float) -> None:
        """Take in what happens up to a time."""
        self._announced += events
        self.known_until_s = until_s

    def settle(self, time_s: float) -> None:
        """Take for granted what has happened by then, and forget what was announced for later."""
        happened = [event for event in self._announced if event.time_s <= time_s]
        self._before = happened[-1].state if happened else self._before
        self._announced = []
        self.known_until_s = min(self.known_until_s, time_s)


class TriggerOutputs:
    """All outputs of one controller. Whenever a motion changes, the edges it will make are announced anew.

    They are announced for a window of time; `look_ahead` goes on from there.
    """

    def __init__(
        self,
        axes: Items,
        scanner: Scanner,
        triggers: TriggerLines,
        clock: Clock,
        parameters: ParameterMemory,
        on_target: OnTarget,
    ) -> None:
        self._axes = axes
        self._scanner = scanner
        self._triggers = triggers
        self._clock = clock
        self._parameters = parameters
        self._on_target = on_target
        self._items = Items([str(line) for line in LINES], Error.OUT_OF_RANGE)
        self._lock = threading.RLock()  # a motion may be changed by another controller
        self._lines = [_Line(Output(), at_rest(Output(), 0.0), 0.0) for _ in LINES]
        self._levels = [Levels() for _ in LINES]
        self._switches: dict[int, dict[int, bool]] = {line: {} for line in range(len(LINES))}
        scanner.on_motion(self._moved)
        triggers.on_demand(self._announce_more)

    def commands(self) -> Commands:
        """List the commands for digital outputs."""
        return {
            "CTO": Command("{<TrigOutID> <CTOPam> <Value>} - Set Configuration Of Trigger Output", self._configure),
            "CTO?": Command("[{<TrigOutID> <CTOPam>}] - Get Configuration Of Trigger Output", self._configuration),
            "TWC": Command("- Clear All Wave Related Triggers", without_arguments(self._clear_points)),
            "TWS": Command(
                "{<TrigOutID> <PointNumber> <Switch>} - Set Trigger Line Action To Waveform Point", self._set
            ),
            "TWS?": Command("[<StartPoint> <NumberOfPoints> [{<TrigOutID>}]] - Get Trigger Line Actions", self._points),
        }

    def waves_started(self, runs: list[WaveRun]) -> None:
        """Announce the pulses of the lines that a generator switches: that of their axis, or else the first."""
        with self._lock:
            for place, line in enumerate(self._lines):
                if line.output.mode is Mode.GENERATOR:
                    line.run = next((run for run in runs if run.axis == line.output.axis), runs[0])
                    line.rising, line.falling = self._switched(place, line.run)
                    line.cycles_announced = 0
                    self._rest(place, self._clock.now_s())
                    self._announce_cycles(place, line.run.start_s + WINDOW_S)

    def sampled(self, place: int, times_s: Values, sample_s: float) -> Values:
        """Return 1 for each time (n,) at which a line is active or became so within `sample_s` before, else 0.

        A line that a generator switches, a band and on-target are levels; position distance makes pulses of no length.
        """
        with self._lock:
            while self._announce_more(LINES[place], float(times_s[-1])):
                pass
            return self._levels[place].sampled(times_s, sample_s)

    def look_ahead(self) -> None:
        """Keep all lines announced, so that nobody has to look back far."""
        until_s = self._clock.now_s() + WINDOW_S
        for trigger_line in LINES:
            self._announce_more(trigger_line, until_s)

    def _announce_more(self, trigger_line: int, until_s: float) -> bool:
        """Announce another window of a line, unless all is known up to a time; returns whether there was one."""
        with self._lock:
            place = LINES.index(trigger_line)
            line = self._lines[place]
            match line.output.mode:
                case Mode.GENERATOR:
                    return self._announce_cycles(place, until_s)
                case Mode.ON_TARGET:
                    return False
            if line.is_complete or line.known_until_s >= until_s:
                return False
            self._announce_window(place)
            return True

    def _switched(self, place: int, run: WaveRun) -> tuple[list[int], list[int]]:
        """List the points of a run at which a line rises and falls; the last point is followed by the first."""
        high = {point for point, on in self._switches[place].items() if on and point <= run.points}
        rising = [point for point in sorted(high) if point - 1 not in high]
        return rising, sorted({point % run.points + 1 for point in high} - high)

    def _announce_cycles(self, place: int, until_s: float) -> bool:
        line = self._lines[place]
        if line.run is None or not line.rising or line.cycles_announced >= line.run.cycles:
            return False
        run, first = line.run, line.cycles_announced
        if run.start_s + first * run.cycle_s > until_s:
            return False
        line.cycles_announced = int(min(first + 1 + WINDOW_S // run.cycle_s, run.cycles))
        cycles = range(first, line.cycles_announced)
        rises_s = _times_s(run, cycles, line.rising)
        self._triggers.schedule(LINES[place], rises_s)
        self._levels[place].announce((time_s, True) for time_s in rises_s)
        self._levels[place].announce((time_s, False) for time_s in _times_s(run, cycles, line.falling))
        if line.cycles_announced == run.cycles:
            self._levels[place].announce([(run.start_s + run.cycles * run.cycle_s, False)])
        return True

    def _moved(self, axis: int) -> None:
        with self._lock:
            for place, line in enumerate(self._lines):
                if line.output.mode is Mode.GENERATOR:
                    self._stop_points(place, axis)
                elif line.output.axis == axis:
                    self._announce_anew(place, self._scanner.changed_s(axis))

    def _stop_points(self, place: int, axis: int) -> None:
        line = self._lines[place]
        if line.run is not None and line.run.axis == axis and not self._scanner.is_following(axis):
            line.run = None
            self._rest(place, self._clock.now_s())

    def _rest(self, place: int, from_s: float) -> None:
        """Let a line be at rest from some time on, whatever was announced."""
        self._take_back(place, from_s)
        self._levels[place].announce([(from_s, False)])

    def _take_back(self, place: int, after_s: float) -> None:
        self._triggers.cancel(LINES[place], after_s)
        self._levels[place].take_back(after_s)

    def _announce_anew(self, place: int, changed_s: float) -> None:
        line = self._lines[place]
        line.settle(changed_s)
        self._take_back(place, changed_s)
        if line.output.mode is Mode.ON_TARGET:
            self._announce_on_target(place, changed_s)
            return
        if line.is_complete:
            line.go_to([], changed_s)
        line.is_complete = False
        line.go_to([], max(line.known_until_s, changed_s - FORGOTTEN_S))
        while line.known_until_s < changed_s:
            self._announce_window(place)
        self._announce_window(place)

    def _announce_on_target(self, place: int, changed_s: float) -> None:
        axis = self._lines[place].output.axis
        on_target_s = self._on_target.from_s(axis)
        servo_on = self._scanner.servo_on(axis)
        self._levels[place].announce([(changed_s, servo_on and on_target_s <= changed_s)])
        if servo_on and changed_s < on_target_s < math.inf:
            self._triggers.schedule(LINES[place], [on_target_s])
            self._levels[place].announce([(on_target_s, True)])

    def _announce_window(self, place: int) -> None:
        line = self._lines[place]
        output, from_s = line.output, line.known_until_s
        changed_s = self._scanner.changed_s(output.axis)
        until_s = from_s + WINDOW_S
        if from_s < changed_s:  # what was before the present motion is past
            until_s = min(until_s, changed_s)
        else:
            ends_s = self._scanner.moves_until_s(output.axis, until_s)
            line.is_complete = ends_s < until_s
            until_s = max(from_s, ends_s)
        path = Path.between(self._scanner, output.axis, from_s, until_s)
        one_way = bool(self._parameters.number(SINGLE_DIRECTION, output.axis))
        happens = list(events(output, path, line.state, one_way))
        line.go_to(happens, until_s)
        fires_s = [event.time_s for event in happens if event.fires]
        self._triggers.schedule(LINES[place], fires_s)
        if output.mode is Mode.BAND:
            self._levels[place].announce((event.time_s, event.state.active) for event in happens)
        else:
            self._levels[place].announce((time_s, on) for time_s in fires_s for on in (True, False))

    def _configure(self, words: list[str]) -> None:
        """Configure all lines that a command names, or none."""
        outputs = {place: line.output for place, line in enumerate(self._lines)}
        changed = {}
        for name, parameter, word in groups(words, 3):
            place = self._items.index(name)
            outputs[place] = changed[place] = self._changed(outputs[place], parameter, word)
        with self._lock:
            now_s = self._clock.now_s()
            here_um = self._scanner.reported_um(now_s)
            for place, output in changed.items():
                self._rest(place, now_s)
                self._lines[place] = _Line(output, at_rest(output, float(here_um[output.axis])), now_s)
                if output.mode is not Mode.GENERATOR:
                    self._announce_anew(place, now_s)

    def _changed(self, output: Output, parameter: str, word: str) -> Output:
        match parameter:
            case "1" | "5" | "6" | "8" | "9":
                value = real(word)
                if not np.isfinite(value) or (parameter == STEP and value < SMALLEST_STEP_UM):
                    raise Refusal(Error.OUT_OF_RANGE)
                changes: dict[str, Any] = {FIELDS[parameter]: value}
                return replace(output, **changes)
            case "2":
                return replace(output, axis=self._axes.index(word))
            case "3":
                mode = whole(word)
                if mode not in list(Mode):
                    raise Refusal(Error.OUT_OF_RANGE)
                return replace(output, mode=Mode(mode))
            case "7":
                return replace(output, active_high=switch(word))
        raise Refusal(Error.OUT_OF_RANGE)

    def _configuration(self, words: list[str]) -> list[str]:
        asked = (
            groups(words, 2) if words else [[line, parameter] for line in self._items.names for parameter in PARAMETERS]
        )
        return [
            f"{name} {parameter}={self._written(self._lines[self._items.index(name)].output, parameter)}"
            for name, parameter in asked
        ]

    def _written(self, output: Output, parameter: str) -> str:
        match parameter:
            case "1" | "5" | "6" | "8" | "9":
                return number(getattr(output, FIELDS[parameter]))
            case "2":
                return self._axes.names[output.axis]
            case "3":
                return str(int(output.mode))
            case "7":
                return flag(output.active_high)
        raise Refusal(Error.OUT_OF_RANGE)

    def _clear_points(self) -> None:
        for switches in self._switches.values():
            switches.clear()

    def _set(self, words: list[str]) -> None:
        """Switch lines at points; what was set before stays. A run under way keeps the points it began with."""
        rows = [(self._items.index(line), whole(point), switch(on)) for line, point, on in groups(words, 3)]
        if not all(1 <= point <= MEMORY_POINTS for _, point, _ in rows):
            raise Refusal(Error.OUT_OF_RANGE)
        for place, point, on in rows:
            self._switches[place][point] = on

    def _points(self, words: list[str]) -> Iterable[str]:
        lines = self._items.indices(words[2:])
        first = whole(words[0]) if words else 1
        last_set = max((point for switches in self._switches.values() for point in switches), default=1)
        count = whole(words[1]) if words[1:] else max(last_set - first + 1, 1)
        if not (1 <= first <= MEMORY_POINTS and 1 <= count <= MEMORY_POINTS):
            raise Refusal(Error.OUT_OF_RANGE)
        columns = [
            np.array([float(self._switches[line].get(point, False)) for point in range(first, first + count)])
            for line in lines
        ]
        return array(columns, [f"Trigger Line {self._items.names[line]}" for line in lines], SERVO_TIME_S)


def _times_s(run: WaveRun, cycles: Iterable[int], points: list[int]) -> list[float]:
    return [run.start_s + cycle * run.cycle_s + (point - 1) * run.step_s for cycle in cycles for point in points]
