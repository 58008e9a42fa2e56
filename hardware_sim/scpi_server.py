"""A bench voltmeter on the cantilever's detector: SCPI-99 over TCP, lines that end with LF.

A reading takes as long as its aperture, and is the mean of the detector's signal over that time; with averaging on,
it is the mean of so many of them.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from hardware_sim.faults import Fault
from hardware_sim.scpi_grammar import Unit, at_most, number, only, pattern, units
from hardware_sim.scpi_status import (
    COMPLETE,
    ILLEGAL_VALUE,
    STALE,
    TRIGGER_DEADLOCK,
    TRIGGER_IGNORED,
    UNDEFINED_HEADER,
    ScpiError,
    Status,
)
from hardware_sim.wire import Wire

IDENTITY = "NANORASTER,TWIN VOLTMETER,0,1.0"
VERSION = "1999.0"
OVERLOAD_V = 9.9e37
"""SCPI's number for a reading beyond the range (SCPI-99, 7.2.1.4)."""
RANGES_V = (0.1, 1.0, 10.0)
POWER_LINE_CYCLE_S = 0.02
APERTURES_S = (1e-4, 2.0)
DEFAULT_APERTURE_S = 4e-4
"""0.02 power line cycles, the fastest setting of common meters."""
MOST_SAMPLES = 1000
MOST_AVERAGED = 100
DEFAULT_AVERAGED = 10
"""As common meters; averaging is off until it is asked for."""
REGISTER_BITS = 255
SWITCH = {"0": False, "OFF": False, "1": True, "ON": True}
TRIGGERS = {"IMM": "IMM", "IMMEDIATE": "IMM", "BUS": "BUS"}

Parameters = tuple[str, ...]
Value = TypeVar("Value")


@dataclass
class Configuration:
    """How readings are taken; as CONFigure leaves it."""

    aperture_s: float = DEFAULT_APERTURE_S
    range_v: float = RANGES_V[-1]
    is_auto_range: bool = True
    samples: int = 1
    averaged: int = DEFAULT_AVERAGED
    is_averaging: bool = False
    trigger: str = "IMM"


class ScpiVoltmeter:
    """One meter, however many connections; `read_volts(aperture_s)` takes that long and returns the mean."""

    def __init__(self, read_volts: Callable[[float], float]) -> None:
        self._read_volts = read_volts
        self._lock = threading.Lock()
        self._status = Status()
        self._configuration = Configuration()
        self._readings: list[float] = []
        self._waits_for_trigger = False
        self._overloads = 0  # readings that a fault will spoil
        self._frozen = 0  # readings that repeat the latest
        self._latest_v: float | None = None
        self._commands = [(pattern(notation), action) for notation, action in self._listed().items()]

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for line in wire.lines(b"\n"):
            message = units(line)
            if not message:
                continue
            fault = wire.begin()
            with self._lock:
                if fault is not None:
                    self._act_out(fault)
                answers = [self._answer(unit) for unit in message]
            spoken = ";".join(answer for answer in answers if answer)
            if spoken:
                wire.send(spoken.encode("ascii") + b"\n")

    def _act_out(self, fault: Fault) -> None:
        if fault.name == "overload":
            self._overloads += 1
        else:
            self._frozen = int(fault.parameters["readings"])

    def _answer(self, unit: Unit) -> str:
        try:
            for header, action in self._commands:
                if header.fullmatch(unit.header):
                    return action(unit.parameters) or ""
            raise ScpiError(UNDEFINED_HEADER)
        except ScpiError as error:
            self._status.note(error.number)
            return ""

    def _listed(self) -> dict[str, Callable[[Parameters], str | None]]:
        status, voltage = self._status, "[SENSe:]VOLTage[:DC]"
        average = "[SENSe:][VOLTage[:DC]:]AVERage"
        return {
            "*IDN?": _bare(lambda: IDENTITY),
            "*RST": _bare(self._reset),
            "*CLS": _bare(status.clear),
            "*OPC": _bare(self._complete),
            "*OPC?": _bare(lambda: "1"),
            "*WAI": _bare(lambda: None),
            "*TST?": _bare(lambda: "0"),
            "*TRG": _bare(self._trigger),
            "*ESR?": _bare(lambda: str(status.take_events())),
            "*STB?": _bare(lambda: str(status.byte())),
            "*ESE": lambda given: setattr(status, "events_enabled", _whole(given, 0, REGISTER_BITS, 0)),
            "*ESE?": _bare(lambda: str(status.events_enabled)),
            "*SRE": lambda given: setattr(status, "service_enabled", _whole(given, 0, REGISTER_BITS, 0)),
            "*SRE?": _bare(lambda: str(status.service_enabled)),
            "SYSTem:ERRor[:NEXT]?": _bare(status.next_error),
            "SYSTem:ERRor:COUNt?": _bare(lambda: str(status.errors())),
            "SYSTem:VERSion?": _bare(lambda: VERSION),
            "CONFigure:VOLTage[:DC]": self._configure,
            "CONFigure?": _bare(lambda: f'"VOLT {self._configuration.range_v:+.8E}"'),
            "MEASure:VOLTage[:DC]?": self._measure,
            "READ?": _bare(self._read),
            "INITiate[:IMMediate]": _bare(self._initiate),
            "ABORt": _bare(self._abort),
            "FETCh?": _bare(self._fetch),
            "SAMPle:COUNt": lambda given: setattr(self._configuration, "samples", _whole(given, 1, MOST_SAMPLES, 1)),
            "SAMPle:COUNt?": _bare(lambda: str(self._configuration.samples)),
            "TRIGger:SOURce": self._set_trigger,
            "TRIGger:SOURce?": _bare(lambda: self._configuration.trigger),
            "[SENSe:]FUNCtion?": _bare(lambda: '"VOLT"'),
            f"{average}:COUNt": self._set_averaged,
            f"{average}:COUNt?": lambda given: self._tell(given, self._configuration.averaged, 1, MOST_AVERAGED),
            f"{average}[:STATe]": lambda given: setattr(self._configuration, "is_averaging", _chosen(SWITCH, given)),
            f"{average}[:STATe]?": _bare(lambda: str(int(self._configuration.is_averaging))),
            f"{voltage}:APERture": lambda given: self._set_aperture(given, 1.0),
            f"{voltage}:APERture?": lambda given: self._tell_aperture(given, 1.0),
            f"{voltage}:NPLCycles": lambda given: self._set_aperture(given, POWER_LINE_CYCLE_S),
            f"{voltage}:NPLCycles?": lambda given: self._tell_aperture(given, POWER_LINE_CYCLE_S),
            f"{voltage}:RANGe[:UPPer]": lambda given: self._set_range(only(given)),
            f"{voltage}:RANGe[:UPPer]?": lambda given: self._tell(given, self._configuration.range_v, *RANGES_V[::2]),
            f"{voltage}:RANGe:AUTO": self._set_auto_range,
            f"{voltage}:RANGe:AUTO?": _bare(lambda: str(int(self._configuration.is_auto_range))),
        }

    def _reset(self) -> None:
        self._configuration = Configuration()
        self._abort()
        self._readings = []

    def _abort(self) -> None:
        self._waits_for_trigger = False

    def _complete(self) -> None:
        self._status.events |= COMPLETE

    def _configure(self, given: Parameters) -> None:
        """Begin from the usual settings, with a range if one is given; a resolution changes nothing here."""
        at_most(2, given)
        self._reset()
        if given and given[0] not in ("DEF", "DEFAULT", "AUTO"):
            self._set_range(given[0])

    def _measure(self, given: Parameters) -> str:
        self._configure(given)
        return self._read()

    def _read(self) -> str:
        if self._configuration.trigger == "BUS":
            raise ScpiError(TRIGGER_DEADLOCK)  # nobody could trigger while the answer is awaited
        self._take_readings()
        return self._fetch()

    def _initiate(self) -> None:
        self._readings = []
        if self._configuration.trigger == "BUS":
            self._waits_for_trigger = True
        else:
            self._take_readings()

    def _trigger(self) -> None:
        if not self._waits_for_trigger:
            raise ScpiError(TRIGGER_IGNORED)
        self._waits_for_trigger = False
        self._take_readings()

    def _fetch(self) -> str:
        if not self._readings:
            raise ScpiError(STALE)
        return ",".join(f"{volts:+.8E}" for volts in self._readings)

    def _take_readings(self) -> None:
        self._readings = [self._take_reading() for _ in range(self._configuration.samples)]

    def _take_reading(self) -> float:
        configuration = self._configuration
        count = configuration.averaged if configuration.is_averaging else 1
        volts = fmean(self._read_volts(configuration.aperture_s) for _ in range(count))
        if self._overloads:
            self._overloads -= 1
            return OVERLOAD_V
        if self._frozen and self._latest_v is not None:
            self._frozen -= 1
        else:
            self._latest_v = volts
        return self._in_range(self._latest_v)

    def _in_range(self, volts: float) -> float:
        """A detector at its stop is out of the widest range too."""
        most_v = RANGES_V[-1] if self._configuration.is_auto_range else self._configuration.range_v
        if abs(volts) < most_v:
            return volts
        return OVERLOAD_V if volts > 0 else -OVERLOAD_V

    def _set_averaged(self, given: Parameters) -> None:
        self._configuration.averaged = _whole(given, 1, MOST_AVERAGED, DEFAULT_AVERAGED)

    def _set_trigger(self, given: Parameters) -> None:
        self._configuration.trigger = _chosen(TRIGGERS, given)

    def _set_auto_range(self, given: Parameters) -> None:
        self._configuration.is_auto_range = _chosen(SWITCH, given)

    def _set_range(self, wanted: str) -> None:
        """Take the smallest range that holds a voltage."""
        volts = abs(number(wanted, -RANGES_V[-1], RANGES_V[-1], RANGES_V[-1])) if wanted[:3] != "MIN" else RANGES_V[0]
        self._configuration.range_v = next(range_v for range_v in RANGES_V if volts <= range_v)
        self._configuration.is_auto_range = False

    def _set_aperture(self, given: Parameters, unit_s: float) -> None:
        least_s, most_s = APERTURES_S
        value = number(only(given), least_s / unit_s, most_s / unit_s, DEFAULT_APERTURE_S / unit_s)
        self._configuration.aperture_s = value * unit_s

    def _tell_aperture(self, given: Parameters, unit_s: float) -> str:
        least_s, most_s = APERTURES_S
        return self._tell(given, self._configuration.aperture_s / unit_s, least_s / unit_s, most_s / unit_s)

    def _tell(self, given: Parameters, value: float, least: float, most: float) -> str:
        """Say what is set, or what least and most could be."""
        at_most(1, given)
        if given:
            value = number(given[0], least, most, value)
        return f"{value:+.8E}"


def _bare(action: Callable[[], str | None]) -> Callable[[Parameters], str | None]:
    """Make an action without parameters refuse any."""

    def act(given: Parameters) -> str | None:
        at_most(0, given)
        return action()

    return act


def _whole(given: Parameters, least: int, most: int, default: int) -> int:
    return round(number(only(given), least, most, default))


def _chosen(names: Mapping[str, Value], given: Parameters) -> Value:
    name = only(given)
    if name not in names:
        raise ScpiError(ILLEGAL_VALUE)
    return names[name]
