"""PI E-727 with a P-733.3, General Command Set 2.0 over TCP.

Lines end with LF. Some requests are one byte without LF, and may stand inside a line. All lines of an answer but
the last end with a space before their LF. Nothing is answered to a faulty query: the next `ERR?` tells why.
"""

import re
from collections.abc import Callable
from enum import IntEnum

from hardware_sim.mechanics import TRAVEL_UM, Scanner
from hardware_sim.wire import LONGEST_LINE, Wire

IDENTITY = "(c)2015 Physik Instrumente (PI) GmbH & Co. KG, E-727.3CDA, 0116054321, 13.21.00.09"
AXES = ("1", "2", "3")
IDENTIFIER = re.compile(r"[0-9A-Za-z_-]+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

HELP = {
    "#5": "Request Motion Status",
    "#7": "Request Controller Ready Status",
    "#9": "Get Wave Generator Status",
    "#24": "Stop All Axes",
    "*IDN?": "Get Device Identification",
    "CSV?": "Get Current Syntax Version",
    "ERR?": "Get Error Number",
    "HLP?": "Get List Of Available Commands",
    "HLT": "Halt Motion Smoothly [{<AxisID>}]",
    "MOV": "Set Target Position {<AxisID> <Position>}",
    "MOV?": "Get Target Position [{<AxisID>}]",
    "MVR": "Set Target Relative To Current Target {<AxisID> <Distance>}",
    "ONT?": "Get On-Target State [{<AxisID>}]",
    "POS?": "Get Real Position [{<AxisID>}]",
    "SAI?": "Get List Of Current Axis Identifiers [ALL]",
    "STP": "Stop All Axes",
    "SVO": "Set Servo Mode {<AxisID> <ServoState>}",
    "SVO?": "Get Servo Mode [{<AxisID>}]",
    "TMN?": "Get Minimum Commandable Position [{<AxisID>}]",
    "TMX?": "Get Maximum Commandable Position [{<AxisID>}]",
    "VEL": "Set Closed-Loop Velocity {<AxisID> <Velocity>}",
    "VEL?": "Get Closed-Loop Velocity [{<AxisID>}]",
}


class Fault(IntEnum):
    """Error codes that `ERR?` reports."""

    NONE = 0
    UNKNOWN_COMMAND = 2
    COMMAND_TOO_LONG = 3
    NO_SERVO = 5
    POSITION_OUT_OF_LIMITS = 7
    VELOCITY_OUT_OF_LIMITS = 8
    STOPPED = 10
    INVALID_AXIS = 15
    OUT_OF_RANGE = 17
    DOUBLE_AXIS = 22
    ILLEGAL_AXIS = 23
    WRONG_NUMBER_OF_PARAMETERS = 24
    INVALID_NUMBER = 25
    MISSING_PARAMETER = 26


class Refusal(Exception):
    """A command that is not carried out."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class GcsController:
    """What all connections share: the scanner, its servo switches and the one error slot."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._servo_on = [True] * len(AXES)  # as a laboratory leaves it
        self._fault = Fault.NONE

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        line = bytearray()
        for chunk in wire.received():
            for byte in chunk:
                if byte in (0x05, 0x07, 0x09, 0x18):
                    self._reply(wire, self._at_once(byte))
                elif byte != 0x0A:
                    line.append(byte)
                    if len(line) > LONGEST_LINE:
                        line.clear()
                        self._fault = Fault.COMMAND_TOO_LONG
                else:
                    self._reply(wire, self._answer(line.decode("cp1252", errors="replace")))
                    line.clear()

    def _reply(self, wire: Wire, answer: bytes) -> None:
        wire.begin()
        if answer:
            wire.send(answer)

    def _at_once(self, byte: int) -> bytes:
        match byte:
            case 0x05:
                moving = sum(1 << axis for axis in range(len(AXES)) if self._scanner.is_moving(axis))
                return b"%X\n" % moving
            case 0x07:
                return b"\xb1\n"
            case 0x09:
                return b"0\n"
        self._stop(range(len(AXES)))
        return b""

    def _answer(self, line: str) -> bytes:
        words = line.split()
        if not words:
            return b""
        try:
            answer = self._carry_out(words[0].upper(), words[1:])
        except Refusal as refusal:
            self._fault = refusal.fault
            return b""
        return (" \n".join(answer) + "\n").encode("cp1252") if answer else b""

    def _carry_out(self, command: str, words: list[str]) -> list[str]:
        scanner = self._scanner
        match command:
            case "*IDN?" | "CSV?" | "ERR?" | "HLP?" | "STP" if words:
                raise Refusal(Fault.WRONG_NUMBER_OF_PARAMETERS)
            case "*IDN?":
                return [IDENTITY]
            case "CSV?":
                return ["2.0"]
            case "ERR?":
                fault, self._fault = self._fault, Fault.NONE
                return [str(int(fault))]
            case "HLP?":
                commands = (f"{name} {meaning}" for name, meaning in HELP.items())
                return ["The following commands are valid:", *commands, "end of help"]
            case "SAI?":
                if words not in ([], ["ALL"]):
                    raise Refusal(Fault.WRONG_NUMBER_OF_PARAMETERS)
                return list(AXES)
            case "STP":
                self._stop(range(len(AXES)))
            case "HLT":
                self._stop(_axes(words))
            case "SVO":
                self._switch_servo(_values(words))
            case "MOV":
                self._move(_values(words))
            case "MVR":
                targets_um = scanner.target_um()
                self._move({axis: targets_um[axis] + way_um for axis, way_um in _values(words).items()})
            case "VEL":
                self._set_velocity(_values(words))
            case "SVO?":
                return _table(words, lambda axis: str(int(self._servo_on[axis])))
            case "MOV?":
                targets_um = scanner.target_um()
                return _table(words, lambda axis: _number(targets_um[axis]))
            case "POS?":
                axes, sensed_um = _axes(words), scanner.sensed_um()
                return [f"{AXES[axis]}={_number(sensed_um[axis])}" for axis in axes]
            case "ONT?":
                return _table(words, lambda axis: str(int(self._servo_on[axis] and scanner.is_on_target(axis))))
            case "TMN?":
                return _table(words, lambda axis: _number(TRAVEL_UM[axis][0]))
            case "TMX?":
                return _table(words, lambda axis: _number(TRAVEL_UM[axis][1]))
            case "VEL?":
                return _table(words, lambda axis: _number(scanner.slew_um_per_s(axis)))
            case _:
                raise Refusal(Fault.UNKNOWN_COMMAND)
        return []

    def _stop(self, axes: list[int] | range) -> None:
        self._scanner.stop(axes)
        self._fault = Fault.STOPPED

    def _switch_servo(self, states: dict[int, float]) -> None:
        if any(state not in (0.0, 1.0) for state in states.values()):
            raise Refusal(Fault.OUT_OF_RANGE)
        for axis, state in states.items():
            if not state:
                self._scanner.stop([axis])
            self._servo_on[axis] = bool(state)

    def _move(self, targets_um: dict[int, float]) -> None:
        """Move all axes of a line, or none."""
        if not all(self._servo_on[axis] for axis in targets_um):
            raise Refusal(Fault.NO_SERVO)
        for axis, target_um in targets_um.items():
            low_um, high_um = TRAVEL_UM[axis]
            if not low_um <= target_um <= high_um:
                raise Refusal(Fault.POSITION_OUT_OF_LIMITS)
        self._scanner.move(targets_um)

    def _set_velocity(self, velocities_um_per_s: dict[int, float]) -> None:
        fastest = self._scanner.settings.max_slew_um_per_s
        if not all(0 < velocity <= fastest for velocity in velocities_um_per_s.values()):
            raise Refusal(Fault.VELOCITY_OUT_OF_LIMITS)
        for axis, velocity in velocities_um_per_s.items():
            self._scanner.set_slew(axis, velocity)


def _axes(words: list[str]) -> list[int]:
    """Read axis names; none means all of them."""
    axes = [_axis(word) for word in words] or list(range(len(AXES)))
    if len(set(axes)) < len(axes):
        raise Refusal(Fault.DOUBLE_AXIS)
    return axes


def _axis(word: str) -> int:
    if not IDENTIFIER.fullmatch(word):
        raise Refusal(Fault.ILLEGAL_AXIS)
    if word not in AXES:
        raise Refusal(Fault.INVALID_AXIS)
    return AXES.index(word)


def _values(words: list[str]) -> dict[int, float]:
    """Read pairs of axis and number."""
    if not words:
        raise Refusal(Fault.MISSING_PARAMETER)
    axes = _axes(words[0::2])
    if len(words) % 2:
        raise Refusal(Fault.WRONG_NUMBER_OF_PARAMETERS)
    if not all(NUMBER.fullmatch(word) for word in words[1::2]):
        raise Refusal(Fault.INVALID_NUMBER)
    return dict(zip(axes, map(float, words[1::2]), strict=True))


def _table(words: list[str], value: Callable[[int], str]) -> list[str]:
    return [f"{AXES[axis]}={value(axis)}" for axis in _axes(words)]


def _number(value: float) -> str:
    return f"{value:.9e}"
