"""Newport ESP301 with one stage on axis 1, ASCII commands (ESP301 user's manual, section 3).

`[axis]LL[parameter]`, several to a line with `;`, the line ended by CR. Case and spaces do not matter. Reads answer
with a line that ends with CR LF; everything else is silent, and what went wrong waits in the error queue.
"""

import threading
from collections.abc import Callable

from hardware_sim.clock import Clock
from hardware_sim.esp301_axis import Esp301Axis
from hardware_sim.esp301_errors import (
    AXIS_MISSING,
    AXIS_OUT_OF_RANGE,
    DOES_NOT_EXIST,
    NOT_CONNECTED,
    PARAMETER_OUT_OF_RANGE,
    AxisRefusal,
    ErrorQueue,
    Refusal,
)
from hardware_sim.esp301_grammar import Command, commands, hexadecimal, number, parse, whole
from hardware_sim.esp301_settings import LENGTHS
from hardware_sim.faults import Fault
from hardware_sim.focus_drive import NAP_S, FocusDrive
from hardware_sim.wire import Wire

FIRMWARE = "ESP301 Version 3.0.1 6/1/99"
AXES = (1, 2, 3)
CONNECTED = 1
LONGEST_LINE = 80
LONGEST_WAIT_MS = 60_000
READS = {"TP", "TS", "TX", "TE", "TB", "PH", "VE", "ID", "ZU"}
"""Those that answer with and without a question mark."""
OF_CONTROLLER = {"VE", "TS", "TX", "TE", "TB", "PH", "ZU", "SM", "RS", "LC", "WT"}
EITHER_WAY = {"ST", "AB"}
OF_AXIS = {
    *LENGTHS,
    *("ID", "MO", "MF", "PA", "PR", "TP", "DP", "DV", "MD", "SN", "OR", "DH", "MV", "MT", "WS", "WP"),
    *("SU", "FR", "FP", "TJ", "ZB", "ZE", "ZF", "ZH", "ZS", "UF", "QD"),
}
ALWAYS_SET = 0x40
POWER = 0x10
TRAJECTORY = 0x10
JOGGING = 0x04
MOVING = 0x01
STOP_CIRCUITS_CLOSED = 0x18000000
OPEN_INPUTS = 0b110
"""Of axes 2 and 3: an input without a stage reads high."""
BROKEN = (1, 23, 109)
"""What a fault of the controller may be called if nobody chose: bus time-out, servo failure, feedback fault."""


class Esp301Controller:
    """What all connections share: the stage, its settings, the error queue, and one queue of commands."""

    def __init__(self, drive: FocusDrive, clock: Clock) -> None:
        self._drive = drive
        self._clock = clock
        self._errors = ErrorQueue()
        self._axis = Esp301Axis(drive, self._post_axis_error, clock.now_s)
        self._keypad_lock = 0
        self._queue = threading.Lock()

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for line in wire.lines(b"\r"):
            if len(line) > LONGEST_LINE:
                self._post(DOES_NOT_EXIST)
                continue
            for command in commands(line):
                fault = wire.begin()
                with self._queue:
                    answer = self._answer(command, fault)
                if answer:
                    wire.send(answer.encode("ascii") + b"\r\n")

    def _answer(self, command: str, fault: Fault | None) -> str:
        try:
            parsed = parse(command)
            if fault is not None and self._acts_out(fault) and parsed.name not in ("TE", "TB"):
                return ""
            self._axis.look()
            return self._carry_out(parsed)
        except Refusal as refusal:
            self._post(refusal.code)
        except AxisRefusal as refusal:
            self._post_axis_error(refusal.error, self._clock.now_s())
        return ""

    def _acts_out(self, fault: Fault) -> bool:
        """Do what the fault asks for; returns whether the command is lost over it."""
        if fault.name == "following_error":
            self._drive.fail_following()
            return False
        self._post(int(fault.parameters["code"]) or BROKEN[fault.number % len(BROKEN)])
        return True

    def _carry_out(self, command: Command) -> str:
        name = command.name
        if name in OF_CONTROLLER:
            return self._control(command)
        if name not in OF_AXIS | EITHER_WAY:
            raise Refusal(DOES_NOT_EXIST)
        if command.axis is None and name not in EITHER_WAY:
            raise Refusal(AXIS_MISSING)
        if command.axis not in (None, *AXES):
            raise Refusal(AXIS_OUT_OF_RANGE)
        if command.axis not in (None, CONNECTED):
            raise Refusal(int(command.axis) * 100 + NOT_CONNECTED)
        if name in READS and command.parameter:
            _refuse_parameter(command)
        if name in READS or command.is_query:
            return self._axis.ask(name)
        self._order(name, command.parameter)
        return ""

    def _order(self, name: str, parameter: str) -> None:
        bare: dict[str, Callable[[], None]] = {
            "MO": lambda: self._axis.switch_motor(True),
            "MF": lambda: self._axis.switch_motor(False),
            "ST": self._axis.stop,
            "AB": self._axis.abort,
        }
        if name in bare:
            if parameter:
                raise Refusal(PARAMETER_OUT_OF_RANGE)
            bare[name]()
        elif name == "WS":
            pause_ms = whole(parameter or "0", 0, LONGEST_WAIT_MS)
            self._axis.wait_for_stop()
            self._pause(pause_ms)
        elif name == "WP":
            self._wait_until(self._axis.has_passed(parameter))
        else:
            self._axis.order(name, parameter)

    def _control(self, command: Command) -> str:
        """Carry out a command of the controller as a whole; an axis number before it is ignored."""
        axis, parameter = self._axis, command.parameter
        if command.name in READS:
            _refuse_parameter(command)
        match command.name:
            case "VE":
                return FIRMWARE
            case "TE":
                return str(self._errors.next_code())
            case "TB":
                return self._errors.next_message(self._clock.now_s())
            case "TS":
                return chr(ALWAYS_SET | (POWER if axis.motor_on else 0) | (MOVING if axis.is_moving else 0))
            case "TX":
                jogging = JOGGING if axis.is_jogging else 0
                return chr(ALWAYS_SET | (TRAJECTORY if axis.is_moving else 0) | jogging)
            case "PH":
                return self._hardware_status()
            case "ZU":
                return hexadecimal(1 << (CONNECTED - 1))
            case "LC" if command.is_query:
                return str(self._keypad_lock)
            case "LC":
                self._keypad_lock = whole(parameter, 0, 2)
            case "WT":
                self._pause(number(parameter) if number(parameter) <= LONGEST_WAIT_MS else LONGEST_WAIT_MS)
            case "SM" | "RS":
                if parameter:
                    raise Refusal(PARAMETER_OUT_OF_RANGE)
                self._save_or_reset(command.name)
        return ""

    def _save_or_reset(self, name: str) -> None:
        if name == "SM":
            self._axis.save()
            return
        self._axis.reset()
        self._errors.clear()
        self._keypad_lock = 0

    def _hardware_status(self) -> str:
        """Tell which inputs are high: limits and stop circuits, then home switches (ESP300 manual, PH)."""
        upper, lower, home = (int(pressed) for pressed in self._axis.switches())
        limits = STOP_CIRCUITS_CLOSED | OPEN_INPUTS | upper | (OPEN_INPUTS | lower) << 8
        return f"{hexadecimal(limits)}, {hexadecimal(OPEN_INPUTS | home)}"

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        while self._axis.is_moving and not reached():
            self._pause(NAP_S * 1000.0)

    def _pause(self, duration_ms: float) -> None:
        self._clock.sleep_until_s(self._clock.now_s() + duration_ms / 1000.0)

    def _post(self, code: int) -> None:
        self._errors.post(code, self._clock.now_s())

    def _post_axis_error(self, error: int, time_s: float) -> None:
        self._errors.post(CONNECTED * 100 + error, time_s)


def _refuse_parameter(command: Command) -> None:
    if command.parameter not in ("", "?"):
        raise Refusal(PARAMETER_OUT_OF_RANGE)
