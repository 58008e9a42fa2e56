"""Newport ESP301 with one stage, ASCII commands.

`[axis]LL[parameter]`, several to a line with `;`, the line ended by CR. Case and spaces do not matter. Reads answer
with a line that ends with CR LF; everything else is silent, and what went wrong waits in the error queue.
"""

import re
from collections import deque
from dataclasses import dataclass

from hardware_sim.clock import Clock
from hardware_sim.focus_drive import (
    EMERGENCY_DECELERATION_MM_PER_S2,
    MAX_ACCELERATION_MM_PER_S2,
    MAX_SPEED_MM_PER_S,
    TRAVEL_MM,
    FocusDrive,
)
from hardware_sim.wire import Wire

FIRMWARE = "ESP301 Version 3.0.1 6/1/99"
STAGE = "IMS100V, SN1263"
SERVO_TICK_S = 0.0004
MM_PER_UNIT = {2: 1.0, 3: 1e-3, 4: 25.4, 5: 0.0254, 6: 25.4e-6}
"""By the number that SN takes: mm, um, inch, mil, microinch."""
HOME_SPEED_MM_PER_S = 10.0
HOMING_MODES = (0, 1, 2, 4, 6)
"""The home switch of this stage sits at its lower end; searches for the upper end are not wired."""

COMMAND = re.compile(r"(\d*)([A-Z]{2})(.*)")
WITHOUT_AXIS = {"VE", "TS", "TE", "TB"}
EITHER_WAY = {"ST", "AB"}
WITH_AXIS = {"ID", "MO", "MF", "PA", "PR", "TP", "DP", "MD", "VA", "AC", "SN", "SL", "SR", "OR"}

DOES_NOT_EXIST = 6
PARAMETER_OUT_OF_RANGE = 7
AXIS_OUT_OF_RANGE = 9
NOT_ALLOWED = 27
AXIS_MISSING = 37
PARAMETER_MISSING = 38
AXIS_PARAMETER_OUT_OF_RANGE = 101
POSITIVE_LIMIT = 106
NEGATIVE_LIMIT = 107
VELOCITY_EXCEEDED = 110
ACCELERATION_EXCEEDED = 111
MOTOR_OFF = 113
NOT_WHILE_HOMING = 130
MEANING = {
    0: "NO ERROR DETECTED",
    DOES_NOT_EXIST: "COMMAND DOES NOT EXIST",
    PARAMETER_OUT_OF_RANGE: "PARAMETER OUT OF RANGE",
    AXIS_OUT_OF_RANGE: "AXIS NUMBER OUT OF RANGE",
    NOT_ALLOWED: "COMMAND NOT ALLOWED",
    AXIS_MISSING: "AXIS NUMBER MISSING",
    PARAMETER_MISSING: "COMMAND PARAMETER MISSING",
    AXIS_PARAMETER_OUT_OF_RANGE: "AXIS-1 PARAMETER OUT OF RANGE",
    POSITIVE_LIMIT: "AXIS-1 POSITIVE SOFTWARE LIMIT EXCEEDED",
    NEGATIVE_LIMIT: "AXIS-1 NEGATIVE SOFTWARE LIMIT EXCEEDED",
    VELOCITY_EXCEEDED: "AXIS-1 MAXIMUM VELOCITY EXCEEDED",
    ACCELERATION_EXCEEDED: "AXIS-1 MAXIMUM ACCELERATION EXCEEDED",
    MOTOR_OFF: "AXIS-1 MOTOR NOT ENABLED",
    NOT_WHILE_HOMING: "AXIS-1 NOT ALLOWED DURING HOMING",
}


class Refusal(Exception):
    """A command that is not carried out."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Axis:
    """What was set for the axis; lengths in mm, whatever unit is spoken."""

    unit: int = 2
    motor_on: bool = True
    speed_mm_per_s: float = MAX_SPEED_MM_PER_S
    acceleration_mm_per_s2: float = MAX_ACCELERATION_MM_PER_S2
    low_mm: float = TRAVEL_MM[0]
    high_mm: float = TRAVEL_MM[1]
    homing: bool = False


class Esp301Controller:
    """What all connections share: the stage, its settings and the error queue."""

    def __init__(self, drive: FocusDrive, clock: Clock) -> None:
        self._drive = drive
        self._clock = clock
        self._axis = Axis()
        self._errors: deque[tuple[int, int]] = deque(maxlen=10)  # code, servo ticks

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for line in wire.lines(b"\r"):
            for command in line.upper().replace(" ", "").split(";"):
                if not command:
                    continue
                wire.begin()
                if answer := self._answer(command):
                    wire.send(answer.encode("ascii") + b"\r\n")

    def _answer(self, command: str) -> str:
        try:
            return self._carry_out(*_split(command))
        except Refusal as refusal:
            self._errors.append((refusal.code, self._ticks()))
            return ""

    def _carry_out(self, name: str, parameter: str) -> str:
        drive, axis = self._drive, self._axis
        mm = MM_PER_UNIT[axis.unit]
        match name, parameter:
            case "VE", _:
                return FIRMWARE
            case "ID", _:
                return STAGE
            case "TE", _:
                return str(self._next_error()[0])
            case "TB", _:
                code, ticks = self._next_error()
                return f"{code}, {ticks}, {MEANING[code]}"
            case "TS", _:
                return chr(0x40 | (0x10 if axis.motor_on else 0) | (0x01 if drive.is_moving() else 0))
            case "TP", _:
                return f"{drive.position_mm() / mm:.6f}"
            case "DP", "?":
                return f"{drive.target_mm / mm:.6f}"
            case "MD", "?":
                return str(int(not drive.is_moving()))
            case "MO", "?":
                return str(int(axis.motor_on))
            case "VA", "?":
                return f"{axis.speed_mm_per_s / mm:.6f}"
            case "AC", "?":
                return f"{axis.acceleration_mm_per_s2 / mm:.6f}"
            case "SN", "?":
                return str(axis.unit)
            case "SL", "?":
                return f"{axis.low_mm / mm:.6f}"
            case "SR", "?":
                return f"{axis.high_mm / mm:.6f}"
            case "MO", "":
                axis.motor_on = True
            case "MF", "":
                axis.motor_on = False
                drive.stop(EMERGENCY_DECELERATION_MM_PER_S2)
            case "ST", "":
                drive.stop(axis.acceleration_mm_per_s2)
            case "AB", "":
                drive.stop(EMERGENCY_DECELERATION_MM_PER_S2)
            case "OR", _:
                self._search_home(_number(parameter or "1"))
            case "PA", _:
                self._move(_number(parameter) * mm)
            case "PR", _:
                self._move(drive.target_mm + _number(parameter) * mm)
            case "VA", _:
                axis.speed_mm_per_s = _rate(_number(parameter) * mm, MAX_SPEED_MM_PER_S, VELOCITY_EXCEEDED)
            case "AC", _:
                rate = _rate(_number(parameter) * mm, MAX_ACCELERATION_MM_PER_S2, ACCELERATION_EXCEEDED)
                axis.acceleration_mm_per_s2 = rate
            case "SN", _:
                if _number(parameter) not in MM_PER_UNIT:
                    raise Refusal(AXIS_PARAMETER_OUT_OF_RANGE)
                axis.unit = int(_number(parameter))
            case "SL", _:
                axis.low_mm = _limit(_number(parameter) * mm)
            case "SR", _:
                axis.high_mm = _limit(_number(parameter) * mm)
            case _:
                raise Refusal(PARAMETER_OUT_OF_RANGE)
        return ""

    def _move(self, target_mm: float) -> None:
        axis = self._axis
        self._refuse_if_not_ready()
        if target_mm > axis.high_mm + 1e-9:
            raise Refusal(POSITIVE_LIMIT)
        if target_mm < axis.low_mm - 1e-9:
            raise Refusal(NEGATIVE_LIMIT)
        axis.homing = False
        self._drive.move(target_mm, axis.speed_mm_per_s, axis.acceleration_mm_per_s2)

    def _search_home(self, mode: float) -> None:
        if mode not in range(7):
            raise Refusal(PARAMETER_OUT_OF_RANGE)
        if mode not in HOMING_MODES:
            raise Refusal(NOT_ALLOWED)
        self._refuse_if_not_ready()
        self._axis.homing = True
        self._drive.move(TRAVEL_MM[0], HOME_SPEED_MM_PER_S, self._axis.acceleration_mm_per_s2)

    def _refuse_if_not_ready(self) -> None:
        if not self._axis.motor_on:
            raise Refusal(MOTOR_OFF)
        if self._axis.homing and self._drive.is_moving():
            raise Refusal(NOT_WHILE_HOMING)

    def _next_error(self) -> tuple[int, int]:
        return self._errors.popleft() if self._errors else (0, self._ticks())

    def _ticks(self) -> int:
        return int(self._clock.now_s() / SERVO_TICK_S)


def _split(command: str) -> tuple[str, str]:
    """Take a command apart into name and parameter, once its axis number has been found right."""
    parts = COMMAND.fullmatch(command)
    if parts is None or parts[2] not in WITHOUT_AXIS | WITH_AXIS | EITHER_WAY:
        raise Refusal(DOES_NOT_EXIST)
    number, name, parameter = parts.groups()
    if not number and name in WITH_AXIS:
        raise Refusal(AXIS_MISSING)
    if number not in ("", "1") and name not in WITHOUT_AXIS:
        raise Refusal(AXIS_OUT_OF_RANGE)
    return name, parameter


def _number(parameter: str) -> float:
    if not parameter:
        raise Refusal(PARAMETER_MISSING)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", parameter):
        raise Refusal(PARAMETER_OUT_OF_RANGE)
    return float(parameter)


def _rate(value: float, most: float, exceeded: int) -> float:
    if value <= 0:
        raise Refusal(AXIS_PARAMETER_OUT_OF_RANGE)
    if value > most * (1 + 1e-9):
        raise Refusal(exceeded)
    return value


def _limit(value_mm: float) -> float:
    low_mm, high_mm = TRAVEL_MM
    if not low_mm <= value_mm <= high_mm:
        raise Refusal(AXIS_PARAMETER_OUT_OF_RANGE)
    return value_mm
