"""The data recorder of the E-727: `DRC`, `DRT`, `DRR?`, `DRL?`, `RTR`, `HDR?`.

Nothing is sampled while it runs: a recording is a time at which it began, and is worked out when it is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hardware_sim.clock import Clock
from hardware_sim.gcs_axes import um_to_volts
from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, array, groups, numbered, only, whole, without_arguments
from hardware_sim.gcs_parameters import RECORDER_LENGTH, SERVO_TIME_S, TABLE_POINTS, TABLES, ParameterMemory
from hardware_sim.mechanics import Scanner
from hardware_sim.trigger_lines import LINES
from hardware_sim.trigger_outputs import TriggerOutputs
from hardware_sim.wave_tables import asked_points

NOTHING, COMMANDED, ACTUAL, DEVIATION, VOLTAGE, INPUT, OUTPUT, TIME = 0, 1, 2, 3, 7, 26, 27, 44
OPTIONS = {
    NOTHING: "Nothing is recorded",
    COMMANDED: "Commanded Position of Axis",
    ACTUAL: "Actual Position of Axis",
    DEVIATION: "Position Error of Axis",
    VOLTAGE: "Control Voltage of Output Channel",
    INPUT: "DI Value",
    OUTPUT: "DO Value of Trigger Line",
    TIME: "System Time",
}
DEFAULT, MOTION, NEXT_COMMAND, EXTERNAL, AT_ONCE, MOTION_ONCE, WAVE = 0, 1, 2, 3, 4, 6, 9
SOURCES = {
    DEFAULT: "default setting: start of a wave generator",
    MOTION: "any command changing position",
    NEXT_COMMAND: "next command, then back to default",
    EXTERNAL: "external trigger",
    AT_ONCE: "trigger immediately, then back to default",
    MOTION_ONCE: "any command changing position, then back to default",
    WAVE: "start of a wave generator",
}
"""As the manual lists them; 3 is refused, for want of a digital input. Nothing else triggers by itself, so 0 is 9."""
ONCE = (NEXT_COMMAND, AT_ONCE, MOTION_ONCE)
HIGHEST_RATE = 100_000
LATCH_S = 1e-9
"""A sample is taken so long after its servo cycle began, lest rounding decide to which cycle it belongs."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Table:
    source: int = 0
    option: int = NOTHING
    trigger: int = DEFAULT


@dataclass(frozen=True)
class _Recording:
    """What a table was set to when it was triggered, and when that was."""

    start_s: float
    rate: int
    table: _Table

    @property
    def sample_s(self) -> float:
        return self.rate * SERVO_TIME_S


class DataRecorder:
    """All record tables of one controller."""

    def __init__(
        self,
        axes: Items,
        scanner: Scanner,
        outputs: TriggerOutputs,
        clock: Clock,
        parameters: ParameterMemory,
    ) -> None:
        self._axes = axes
        self._scanner = scanner
        self._trigger_outputs = outputs
        self._clock = clock
        self._parameters = parameters
        self._items = numbered(TABLES, Error.INVALID_RECORDER_TABLE)
        self._sources = Items(axes.names, Error.INVALID_RECORDER_SOURCE)
        self._outputs = Items([str(line) for line in LINES], Error.INVALID_RECORDER_SOURCE)
        self._tables = [_Table(axis, ACTUAL) if axis < len(axes.names) else _Table() for axis in range(TABLES)]
        self._recordings: dict[int, _Recording] = {}
        self._rate = 1

    def commands(self) -> Commands:
        """List the commands for the recorder."""
        return {
            "DRC": Command("{<RecTableID> <Source> <RecOption>} - Set Data Recorder Configuration", self._configure),
            "DRC?": Command("[{<RecTableID>}] - Get Data Recorder Configuration", self._configuration),
            "DRT": Command("{<RecTableID> <TriggerSource> <Value>} - Set Data Recorder Trigger Source", self._arm),
            "DRT?": Command(
                "[{<RecTableID>}] - Get Data Recorder Trigger Source",
                lambda words: self._items.table(words, lambda table: f"{self._tables[table].trigger} 0"),
            ),
            "DRR?": Command("[<StartPoint> <NumberOfPoints> [{<RecTableID>}]] - Get Recorded Data Values", self._data),
            "DRL?": Command(
                "[{<RecTableID>}] - Get Number Of Recorded Points",
                lambda words: self._items.table(words, lambda table: str(self._recorded(table))),
            ),
            "RTR": Command("<RecordTableRate> - Set Record Table Rate", self._set_rate),
            "RTR?": Command("- Get Record Table Rate", without_arguments(lambda: [str(self._rate)])),
            "HDR?": Command("- Get All Data Recorder Options", without_arguments(_help)),
            "TNR?": Command("- Get Number Of Record Tables", without_arguments(lambda: [str(TABLES)])),
        }

    def command_came(self) -> None:
        """Begin the recordings that wait for the next command."""
        self._trigger(NEXT_COMMAND)

    def motion_begins(self) -> None:
        """Begin the recordings that wait for a motion."""
        self._trigger(MOTION, MOTION_ONCE)

    def wave_begins(self, start_s: float) -> None:
        """Begin the recordings that wait for a generator."""
        self._trigger(MOTION, MOTION_ONCE, WAVE, DEFAULT, start_s=start_s)

    def _trigger(self, *sources: int, start_s: float | None = None) -> None:
        for place, table in enumerate(self._tables):
            if table.trigger in sources:
                self._begin(place, self._clock.now_s() if start_s is None else start_s)

    def _begin(self, place: int, start_s: float) -> None:
        table = self._tables[place]
        self._recordings[place] = _Recording(start_s, self._rate, table)
        if table.trigger in ONCE:
            self._tables[place] = replace(table, trigger=DEFAULT)

    def _configure(self, words: list[str]) -> None:
        changed = dict(enumerate(self._tables))
        for name, source, word in groups(words, 3):
            place, option = self._items.index(name), whole(word)
            if option not in OPTIONS:
                raise Refusal(Error.INVALID_RECORDER_OPTION)
            changed[place] = replace(changed[place], source=self._source(source, option), option=option)
        self._tables = [changed[place] for place in range(TABLES)]

    def _source(self, word: str, option: int) -> int:
        """Find the axis, or for digital outputs the line; the other options have no source that matters."""
        if option in (COMMANDED, ACTUAL, DEVIATION, VOLTAGE):
            return self._sources.index(word)
        return self._outputs.index(word) if option == OUTPUT else 0

    def _configuration(self, words: list[str]) -> list[str]:
        return self._items.table(words, lambda place: f"{self._source_name(place)} {self._tables[place].option}")

    def _source_name(self, place: int) -> str:
        table = self._tables[place]
        return (self._outputs if table.option == OUTPUT else self._axes).names[table.source]

    def _arm(self, words: list[str]) -> None:
        """Set trigger sources; table 0 means all of them."""
        sources: dict[int, int] = {}
        for name, word, _ in groups(words, 3):
            source = whole(word)
            if source not in SOURCES or source == EXTERNAL:
                raise Refusal(Error.OUT_OF_RANGE)
            sources |= dict.fromkeys(range(TABLES) if name == "0" else [self._items.index(name)], source)
        for place, source in sources.items():
            self._tables[place] = replace(self._tables[place], trigger=source)
        self._trigger(AT_ONCE)

    def _set_rate(self, words: list[str]) -> None:
        rate = whole(only(words))
        if not 1 <= rate <= HIGHEST_RATE:
            raise Refusal(Error.OUT_OF_RANGE)
        self._rate = rate

    def _recorded(self, place: int) -> int:
        recording = self._recordings.get(place)
        if recording is None or recording.table.option == NOTHING:
            return 0
        elapsed_s = self._clock.now_s() - recording.start_s
        return int(np.clip(elapsed_s / recording.sample_s + 1, 0, self._parameters.number(RECORDER_LENGTH)))

    def _data(self, words: list[str]) -> Iterable[str]:
        places = self._items.indices(words[2:]) if words[2:] else self._configured()
        if any(self._tables[place].option == NOTHING for place in places):
            raise Refusal(Error.TABLE_NOT_CONFIGURED)
        recorded = min(map(self._recorded, places))
        first, count = asked_points(words, max(recorded, 1))
        if first + count - 1 > recorded:
            raise Refusal(Error.NOT_ENOUGH_RECORDED_DATA)
        recordings = [self._recordings[place] for place in places]
        columns = [self._values(recording)[first - 1 : first - 1 + count] for recording in recordings]
        return array(columns, [self._name(recording) for recording in recordings], recordings[0].sample_s)

    def _configured(self) -> list[int]:
        return [place for place, table in enumerate(self._tables) if table.option != NOTHING] or [0]

    def _name(self, recording: _Recording) -> str:
        table = recording.table
        source = f" {self._outputs.names[table.source]}" if table.option == OUTPUT else ""
        if table.option in (COMMANDED, ACTUAL, DEVIATION, VOLTAGE):
            source = f":{self._axes.names[table.source]}"
        return OPTIONS[table.option] + source

    def _values(self, recording: _Recording) -> Values:
        """Work out all samples up to now."""
        length = int(self._parameters.number(RECORDER_LENGTH))
        times_s: Values = recording.start_s + LATCH_S + np.arange(length, dtype=np.float64) * recording.sample_s
        times_s = times_s[times_s <= self._clock.now_s() + recording.sample_s]
        source = recording.table.source
        match recording.table.option:
            case 1:
                return self._scanner.commanded_um_at(source, times_s)
            case 2:
                return self._scanner.sensed_um_at(times_s)[:, source]
            case 3:
                return self._scanner.commanded_um_at(source, times_s) - self._scanner.sensed_um_at(times_s)[:, source]
            case 7:
                return um_to_volts(source, self._scanner.reported_um_at(source, times_s))
            case 27:
                return self._trigger_outputs.sampled(source, times_s, recording.sample_s)
            case 44:
                return times_s
        return np.zeros(len(times_s))


def _help() -> list[str]:
    return [
        "#RecordOptions",
        *(f"{option}={meaning}" for option, meaning in OPTIONS.items()),
        "#TriggerOptions",
        *(f"{source}={meaning}" for source, meaning in SOURCES.items()),
        "#Additional information",
        f"{TABLES} record tables",
        f"{TABLE_POINTS} datapoints per table",
        "end of help",
    ]
