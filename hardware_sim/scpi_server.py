"""A bench voltmeter on the cantilever's detector, SCPI-99 over TCP; lines end with LF."""

import re
from collections import deque
from collections.abc import Callable

from hardware_sim.cantilever import DETECTOR_LIMIT_V
from hardware_sim.wire import Wire

IDENTITY = "NANORASTER,TWIN VOLTMETER,0,1.0"
OVERLOAD = 9.9e37
"""SCPI's number for a reading beyond the range."""
QUEUE_LENGTH = 20
MEASURE = re.compile(r":?(MEAS(URE)?:VOLT(AGE)?(:DC)?|READ)\?", re.IGNORECASE)
NEXT_ERROR = re.compile(r":?SYST(EM)?:ERR(OR)?(:NEXT)?\?", re.IGNORECASE)


class ScpiVoltmeter:
    """Answers with the voltage there is at that moment."""

    def __init__(self, read_volts: Callable[[], float]) -> None:
        self._read_volts = read_volts
        self._errors: deque[str] = deque(maxlen=QUEUE_LENGTH)

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for line in wire.lines(b"\n"):
            wire.begin()
            answers = [self._carry_out(command.strip()) for command in line.split(";") if command.strip()]
            spoken = ";".join(answer for answer in answers if answer)
            if spoken:
                wire.send(spoken.encode("ascii") + b"\n")

    def _carry_out(self, command: str) -> str:
        if MEASURE.fullmatch(command):
            return f"{_in_range(self._read_volts()):+.8E}"
        if NEXT_ERROR.fullmatch(command):
            return self._errors.popleft() if self._errors else '0,"No error"'
        match command.upper():
            case "*IDN?":
                return IDENTITY
            case "*CLS" | "*RST":
                self._errors.clear()
            case _:
                self._errors.append('-113,"Undefined header"')
        return ""


def _in_range(volts: float) -> float:
    """A detector at its stop is out of the meter's 10 V range."""
    if abs(volts) < DETECTOR_LIMIT_V:
        return volts
    return OVERLOAD if volts > 0 else -OVERLOAD
