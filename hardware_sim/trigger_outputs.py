"""The digital outputs of the E-727 on the trigger lines: `CTO`, `TWS`, `TWC`."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, takewhile
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
from hardware_sim.mechanics import Scanner
from hardware_sim.on_target import OnTarget
from hardware_sim.position_triggers import Event, Mode, Output, State, at_rest, events
from hardware_sim.sensor_path import Path
from hardware_sim.trigger_lines import LINES, TriggerLines
from hardware_sim.wave_generator import MOST_STEPS, WaveRun

SMALLEST_STEP_UM = 1e-3
MOST_EVENTS = 100_000
"""Of one line in one motion."""
LATE_S = 0.02
"""World time that may pass between a motion's change and the word of it."""
PARAMETERS = ("1", "2", "3", "5", "6", "7", "8", "9")
STEP, AXIS, MODE, LOW, HIGH, POLARITY, START, STOP = PARAMETERS
FIELDS = {STEP: "step_um", LOW: "low_um", HIGH: "high_um", START: "start_um", STOP: "stop_um"}


class _Line:
    """One output since it was configured, what is announced of it, and the state that it had before."""

    def __init__(self, output: Output, state: State, since_s: float) -> None:
        self.output = output
        self.before = state
        self.settled_s = since_s
        self.announced: list[Event] = []
        self.run: WaveRun | None = None

    def settle(self, now_s: float) -> None:
        """Take for granted what has happened by now, and forget what was announced for later."""
        for event in takewhile(lambda event: event.time_s <= now_s, self.announced):
            self.before, self.settled_s = event.state, event.time_s
        self.announced = []


class TriggerOutputs:
    """All outputs of one controller. Whenever a motion changes, the edges it will make are announced anew."""

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
        self._switches: dict[int, dict[int, bool]] = {line: {} for line in range(len(LINES))}
        scanner.on_motion(self._moved)

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
                    self._announce_points(place, line.run)

    def _announce_points(self, place: int, run: WaveRun) -> None:
        switches = self._switches[place]
        rising = [
            point
            for point, on in sorted(switches.items())
            if on and not switches.get(point - 1, False) and point <= run.points
        ]
        cycle_s = run.step_s * run.points
        self._triggers.cancel(LINES[place], self._clock.now_s())
        self._triggers.schedule(
            LINES[place],
            (
                run.start_s + cycle * cycle_s + (point - 1) * run.step_s
                for cycle in range(run.cycles)
                for point in rising
            ),
        )

    def _moved(self, axis: int) -> None:
        with self._lock:
            for place, line in enumerate(self._lines):
                if line.output.mode is Mode.GENERATOR:
                    self._stop_points(place, axis)
                elif line.output.axis == axis:
                    self._announce(place)

    def _stop_points(self, place: int, axis: int) -> None:
        line = self._lines[place]
        if line.run is not None and line.run.axis == axis and not self._scanner.is_following(axis):
            line.run = None
            self._triggers.cancel(LINES[place], self._clock.now_s())

    def _announce(self, place: int) -> None:
        line, now_s = self._lines[place], self._clock.now_s()
        line.settle(now_s)
        self._triggers.cancel(LINES[place], now_s)
        expected = self._expected(line, max(line.settled_s, now_s - LATE_S))
        line.announced = list(islice(expected, MOST_EVENTS))
        self._triggers.schedule(LINES[place], (event.time_s for event in line.announced if event.fires))

    def _expected(self, line: _Line, from_s: float) -> Iterable[Event]:
        output = line.output
        if output.mode is Mode.ON_TARGET:
            on_target_s = self._on_target.from_s(output.axis)
            is_closed = self._scanner.servo_on(output.axis) and on_target_s > from_s
            return [Event(on_target_s, line.before, fires=True)] if is_closed else []
        path = Path.between(self._scanner, output.axis, from_s, self._scanner.motion_ends_s(output.axis))
        one_way = bool(self._parameters.number(SINGLE_DIRECTION, output.axis))
        return events(output, path, line.before, one_way)

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
                self._triggers.cancel(LINES[place], now_s)
                self._lines[place] = _Line(output, at_rest(output, float(here_um[output.axis])), now_s)
                if output.mode is not Mode.GENERATOR:
                    self._announce(place)

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
        if not all(1 <= point <= MOST_STEPS for _, point, _ in rows):
            raise Refusal(Error.OUT_OF_RANGE)
        for place, point, on in rows:
            self._switches[place][point] = on

    def _points(self, words: list[str]) -> Iterable[str]:
        lines = self._items.indices(words[2:])
        first = whole(words[0]) if words else 1
        last_set = max((point for switches in self._switches.values() for point in switches), default=1)
        count = whole(words[1]) if words[1:] else max(last_set - first + 1, 1)
        if not (1 <= first <= MOST_STEPS and 1 <= count <= MOST_STEPS):
            raise Refusal(Error.OUT_OF_RANGE)
        columns = [
            np.array([float(self._switches[line].get(point, False)) for point in range(first, first + count)])
            for line in lines
        ]
        return array(columns, [f"Trigger Line {self._items.names[line]}" for line in lines], SERVO_TIME_S)
