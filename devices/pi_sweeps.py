"""Sweeps carried out by a PI controller: armed, watched, read back, and disarmed again."""

import threading
from collections.abc import Callable

from devices import gcs_answers
from devices.errors import DeviceError, DeviceRejected, ProtocolError
from devices.pi_connection import PiConnection
from devices.pi_sweep_program import Clockwork, SweepProgram, disarm
from devices.pi_sweep_record import at_times, trigger_times
from devices.settings import PiGcsSettings
from devices.troubles import overcoming

SERVO_TIME = 0x0E000200  # parameters, E-727 manual; asked for in decimal
RECORD_LENGTH = 0x16000201
ROWS_AT_ONCE = 512  # of the record: an answer of some 40 kB, well inside the time for one


class PiSweeps:
    """The wave generator, trigger output and data recorder of one controller."""

    def __init__(self, connection: PiConnection, settings: PiGcsSettings) -> None:
        self._connection = connection
        self._identifiers: dict[str, str] = dict(settings.axes.items())
        self._line = settings.trigger_line
        self._armed: int | None = None  # the generator that may be running, with the trigger on
        self._disarming = threading.Lock()  # a stop and the wait that it ends both do it
        self._recorded: tuple[SweepProgram, Clockwork] | None = None

    def start(self, program: SweepProgram, condition: Callable[[], None]) -> None:
        """Set up and start; `condition` is asked before each command and raises to give up.

        Raises:
            DeviceError: as `PiConnection.tell`; generator and trigger have been turned off.
        """
        numbers = self.axis_numbers()
        axis = program.sweep.axis
        clockwork = self._read_clockwork(self._identifiers[axis])
        self._armed, self._recorded = numbers[axis], None
        try:
            for command in program.commands(numbers, self._identifiers, self._line, clockwork):
                self._connection.tell(command, condition)
        except DeviceError:
            with overcoming(DeviceError):  # the first error is the one to raise
                self.disarm()
            raise
        self._recorded = program, clockwork

    def is_running(self) -> bool:
        """Ask #9 whether the generator still runs."""
        running = self._connection.ask("\x09", gcs_answers.bits)
        return self._armed is not None and bool(running >> (self._armed - 1) & 1)

    def disarm(self) -> None:
        """Turn generator and trigger off, if a sweep turned them on."""
        with self._disarming:
            if self._armed is None:
                return
            for command in disarm(self._armed, self._line):
                self._connection.tell(command)
            self._armed = None

    def read_um(self, delay_s: float) -> list[dict[str, float]]:
        """Read the record, and tell where all axes were `delay_s` after each trigger.

        Raises:
            DeviceRejected: there is no record of a sweep.
            ProtocolError: the record does not show the triggers that were asked for, or ends too early.
        """
        if self._recorded is None:
            raise DeviceRejected(self._connection.name, "no sweep has been recorded")
        program, clockwork = self._recorded
        record = self._read_record(program.samples(clockwork))
        swept = list(self._identifiers).index(program.sweep.axis)
        try:
            times = trigger_times(record, swept, program.sweep.trigger_at_um)
            positions_um = at_times(record, [time + delay_s / program.sample_s(clockwork) for time in times])
        except ValueError as error:
            raise ProtocolError(self._connection.name, f"sweep: {error}") from error
        return [dict(zip(self._identifiers, position_um, strict=True)) for position_um in positions_um]

    def axis_numbers(self) -> dict[str, int]:
        """Ask SAI? for the place of each of our axes in the controller, from 1."""
        all_axes = self._connection.ask("SAI?", str.split)
        if missing := set(self._identifiers.values()) - set(all_axes):
            name = self._connection.name
            raise DeviceRejected(name, f"has no axis {', '.join(sorted(missing))}, but {', '.join(all_axes)}")
        return {axis: all_axes.index(identifier) + 1 for axis, identifier in self._identifiers.items()}

    def _read_clockwork(self, identifier: str) -> Clockwork:
        servo_s = self._read_parameter(identifier, SERVO_TIME)
        length = self._read_parameter(identifier, RECORD_LENGTH)
        if servo_s <= 0 or length < 1:
            raise ProtocolError(self._connection.name, f"servo time {servo_s} s, {length} samples in a record")
        return Clockwork(servo_s, int(length))

    def _read_parameter(self, axis: str, parameter: int) -> float:
        query = f"SPA? {axis} {parameter}"
        return self._connection.ask(query, lambda answer: gcs_answers.parameter(answer, axis, parameter))

    def _read_record(self, rows: int) -> list[list[float]]:
        record: list[list[float]] = []
        while len(record) < rows:
            record += self._read_rows(len(record) + 1, min(ROWS_AT_ONCE, rows - len(record)))
        return record

    def _read_rows(self, first: int, count: int) -> list[list[float]]:
        columns = len(self._identifiers) + 1
        query = f"DRR? {first} {count} {' '.join(str(table) for table in range(1, columns + 1))}"
        return self._connection.ask(query, lambda answer: gcs_answers.array(answer, count, columns))
