"""PI controllers of a P-733.3 on the wire, General Command Set 2.0 over TCP.

Lines end with LF. Some requests are one byte without LF, and may stand inside a line. All lines of an answer but
the last end with a space before their LF. Nothing is answered to a faulty query: the next `ERR?` tells why.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress

from hardware_sim.clock import Clock
from hardware_sim.data_recorder import DataRecorder
from hardware_sim.faults import Fault
from hardware_sim.gcs_axes import AxisCommands
from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, Reader, framed, without_arguments, words_of
from hardware_sim.gcs_parameters import ParameterMemory, parameters_of
from hardware_sim.gcs_profiles import E727, Profile
from hardware_sim.mechanics import Scanner
from hardware_sim.on_target import OnTarget
from hardware_sim.trigger_lines import TriggerLines
from hardware_sim.trigger_outputs import TriggerOutputs
from hardware_sim.wave_generator import WaveGenerators, WaveRun
from hardware_sim.wire import Wire

SYNTAX = "2.0"
READY, BUSY = b"\xb1\n", b"\xb0\n"
TROUBLES = (
    Error.CONTROLLER_BUSY,
    Error.SENSOR_SIGNAL_INVALID,
    Error.HARDWARE_VOLTAGE,
    Error.SERVO_LOOP_UNSTABLE,
    Error.HARDWARE_TEMPERATURE,
    Error.POSITION_ERROR_TOO_HIGH,
)
"""What a `controller_error` without a code turns out to be, one after the other."""
CONTROL_HELP = {
    "#5": "- Request Motion Status",
    "#7": "- Request Controller Ready Status",
    "#9": "- Get Wave Generator Status",
    "#24": "- Stop All Axes",
}


class GcsController:
    """What all connections share: the scanner, all settings, and the one error slot."""

    def __init__(self, scanner: Scanner, triggers: TriggerLines, clock: Clock, profile: Profile = E727) -> None:
        self._profile = profile
        self._lock = threading.RLock()
        self._error = 0
        self._generators: WaveGenerators | None = None
        self._outputs: TriggerOutputs | None = None
        self._recorder: DataRecorder | None = None
        axes = Items(profile.axes, Error.INVALID_AXIS)
        parameters = ParameterMemory(axes, parameters_of(scanner.settings, profile.has_wave_generator))
        on_target = OnTarget(scanner, clock, parameters)
        self._axes = AxisCommands(axes, scanner, parameters, on_target, self._motion_begins, profile.has_online_switch)
        self._commands = self._general() | self._axes.commands() | parameters.commands()
        if profile.has_wave_generator:
            self._outputs = TriggerOutputs(axes, scanner, triggers, clock, parameters, on_target)
            self._recorder = DataRecorder(axes, scanner, self._outputs, clock, parameters)
            self._generators = WaveGenerators(scanner, clock, axes, self._axes, self._waves_begin)
            for part in (self._recorder, self._outputs, self._generators):
                self._commands |= part.commands()

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        reader = Reader()
        for chunk in wire.received():
            for request in reader.requests(chunk):
                if answer := self._answer(request, wire.begin()):
                    wire.send(answer)

    def _answer(self, request: bytes | None, fault: Fault | None) -> bytes:
        with self._lock:
            if self._outputs is not None:
                self._outputs.look_ahead()
            try:
                lines = self._obey(request) if fault is None else self._suffer(request, fault)
            except Refusal as refusal:
                self._error = int(refusal.error)
                return b""
        return lines if isinstance(lines, bytes) else framed(lines)

    def _obey(self, request: bytes | None) -> bytes | Iterable[str]:
        if request is None:
            raise Refusal(Error.COMMAND_TOO_LONG)
        return self._at_once(request) if len(request) == 1 else self._carry_out(words_of(request))

    def _suffer(self, request: bytes | None, fault: Fault) -> bytes | Iterable[str]:
        """Carry nothing out and keep the fault's error for `ERR?`; only a stop takes place whatever happens."""
        self._error = _trouble(fault)
        match request:
            case b"ERR?\n":
                return self._take_error()
            case b"\x18":
                with suppress(Refusal):
                    self._axes.stop_all()
        return BUSY if request == b"\x07" else b""

    def _at_once(self, byte: bytes) -> bytes:
        match byte:
            case b"\x05":
                return _mask(self._axes.moving())
            case b"\x07":
                return READY
            case b"\x09":
                return _mask(self._generators.running() if self._generators else [])
            case b"\x18":
                self._axes.stop_all()
        return b""  # an empty line, or #27, which ends macros: there are none

    def _carry_out(self, words: list[str]) -> Iterable[str]:
        if not words:
            return []
        command = self._commands.get(words[0].upper())
        if self._recorder is not None:
            self._recorder.command_came()
        if command is None:
            raise Refusal(Error.UNKNOWN_COMMAND)
        return command.carry_out(words[1:]) or []

    def _general(self) -> Commands:
        rows = {
            "*IDN?": ("- Get Device Identification", lambda: [self._profile.identity]),
            "CSV?": ("- Get Current Syntax Version", lambda: [SYNTAX]),
            "ERR?": ("- Get Error Number", self._take_error),
            "HLP?": ("- Get List Of Available Commands", self._help),
            "VER?": ("- Get Versions Of Firmware", lambda: [self._profile.firmware]),
        }
        return {name: Command(meaning, without_arguments(answer)) for name, (meaning, answer) in rows.items()}

    def _take_error(self) -> list[str]:
        error, self._error = self._error, 0
        return [str(error)]

    def _help(self) -> list[str]:
        meanings = CONTROL_HELP | {name: command.meaning for name, command in sorted(self._commands.items())}
        rows = (f"{name} {meaning}" for name, meaning in meanings.items())
        return ["The following commands are valid:", *rows, "end of help"]

    def _motion_begins(self) -> None:
        if self._recorder is not None:
            self._recorder.motion_begins()

    def _waves_begin(self, runs: list[WaveRun]) -> None:
        if self._recorder is not None:
            self._recorder.wave_begins(runs[0].start_s)
        if self._outputs is not None:
            self._outputs.waves_started(runs)


def _trouble(fault: Fault) -> int:
    """Find the error code of a fault."""
    if fault.name == "controller_busy":
        return int(Error.CONTROLLER_BUSY)
    return int(fault.parameters.get("code", 0)) or int(TROUBLES[fault.number % len(TROUBLES)])


def _mask(items: list[int]) -> bytes:
    return b"%X\n" % sum(1 << item for item in items)
