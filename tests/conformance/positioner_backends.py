"""Every driver that moves something, at its end of the twin."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devices.focus_esp301 import Esp301Focus
from devices.focus_xps import XpsFocus
from devices.scanner_pi import PiScanner
from devices.settings import Esp301Settings, PiGcsSettings, XpsSettings
from tests.conformance.bench import ANSWER_S, PATIENCE_S, Bench

SCANNER_UM_PER_S = 200.0  # slow enough that a move can be caught under way
FOCUS_UM_PER_S, FOCUS_UM_PER_S2 = 20_000.0, 80_000.0  # IMS100V
SETTLE_S = 1.0


@dataclass(frozen=True)
class Backend:
    """A driver, and the places that its tests use, in um."""

    name: str
    device: str
    """Whose faults it suffers."""
    axis: str
    here_um: float
    there_um: float
    far_um: float
    """So far from `here_um` that a stop meets the move under way."""
    speed_um_per_s: float
    brake_um: float
    """What it still goes from full speed once a stop has taken effect."""
    reach_um: float
    """The driver's arrival tolerance."""
    exact_um: float
    """How well its sensor tells the truth."""
    travel_um: Mapping[str, tuple[float, float]]
    """Of each axis, as the controller has it."""
    open: Callable[[Bench], Any]
    tell: Callable[[Bench, str], None]
    """Say something past the driver, and wait until it has been heard."""
    slow: tuple[str, ...] = ()
    """Told before the driver connects."""
    mend: tuple[str, ...] = ()
    """Told after a fault that leaves the motor off: no driver switches one on by itself."""

    def position_um(self, bench: Bench) -> float:
        """Where its axis truly is, but for the drift, which no sensor sees."""
        truth = bench.truth()
        if self.device == "focus":
            return float(truth["focus_um"])
        index = "xyz".index(self.axis)
        return float(truth["scanner_um"][index] - truth["drift_um"][index])

    def deadline_s(self, distance_um: float) -> float:
        """What the driver gives a move, and a few answers before and after it."""
        return SETTLE_S + 5.0 * abs(distance_um) / self.speed_um_per_s + 6 * ANSWER_S


def _e727(bench: Bench) -> PiScanner:
    return _pi(bench, "scanner", "123")


def _e517(bench: Bench) -> PiScanner:
    return _pi(bench, "scanner_e517", "ABC", start_up=["online"])


def _pi(bench: Bench, key: str, identifiers: str, **more: Any) -> PiScanner:
    where = bench.ready[key]
    axes = dict(zip("xyz", identifiers, strict=True))
    values = {"host": where["host"], "port": where["port"], "axes": axes, "answer_s": ANSWER_S, "settle_s": SETTLE_S}
    return PiScanner("device", PiGcsSettings.model_validate(values | more))


def _esp301_socket(bench: Bench) -> Esp301Focus:
    return _esp301(bench.ready["focus"]["url"])


def _esp301_tty(bench: Bench) -> Esp301Focus:
    return _esp301(bench.ready["focus"]["tty"])


def _esp301(url: str) -> Esp301Focus:
    settings = Esp301Settings(url=url, limits_um=(0.0, 100_000.0), answer_s=ANSWER_S, settle_s=SETTLE_S)
    return Esp301Focus("device", settings)


def _xps(bench: Bench) -> XpsFocus:
    where = {key: bench.ready["xps"][key] for key in ("host", "port", "group", "positioner")}
    values = {**where, "limits_um": (0.0, 100_000.0), "answer_s": ANSWER_S, "settle_s": SETTLE_S}
    return XpsFocus("device", XpsSettings.model_validate(values))


def _tell_e727(bench: Bench, line: str) -> None:
    _tell(_address(bench.ready["scanner"]), f"{line}\nERR?\n", b"\n")


def _tell_e517(bench: Bench, line: str) -> None:
    _tell(_address(bench.ready["scanner_e517"]), f"{line}\nERR?\n", b"\n")


def _tell_esp301(bench: Bench, line: str) -> None:
    host, port = bench.ready["focus"]["url"].removeprefix("socket://").split(":")
    _tell((host, int(port)), f"{line}\r1MO?\r", b"\n")


def _tell_xps(bench: Bench, line: str) -> None:
    _tell(_address(bench.ready["xps"]), line, b"EndOfAPI")


def _address(where: dict[str, Any]) -> tuple[str, int]:
    return where["host"], where["port"]


def _tell(address: tuple[str, int], text: str, end: bytes) -> None:
    with socket.create_connection(address, timeout=PATIENCE_S) as wire:
        wire.sendall(text.encode())
        heard = b""
        while end not in heard:
            piece = wire.recv(100)
            assert piece, f"{text!r} was answered {heard!r}, then hung up on"
            heard += piece


_SCANNER = {
    "device": "scanner",
    "axis": "x",
    "here_um": 20.0,
    "there_um": 24.0,
    "far_um": 95.0,
    "speed_um_per_s": SCANNER_UM_PER_S,
    "brake_um": 3.0 * 0.003 * SCANNER_UM_PER_S,  # three time constants of the loop
    "reach_um": 0.1,
    "exact_um": 0.001,  # no noise in this world; the last digits of an exponential approach
    "travel_um": {"x": (0.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)},
}
_FOCUS = {
    "device": "focus",
    "axis": "z",
    "here_um": 40_000.0,
    "there_um": 40_200.0,
    "far_um": 60_000.0,
    "speed_um_per_s": FOCUS_UM_PER_S,
    "brake_um": FOCUS_UM_PER_S**2 / 2 / FOCUS_UM_PER_S2,
    "reach_um": 5.0,
    "exact_um": 0.1,  # one count of the encoder
    "travel_um": {"z": (0.0, 100_000.0)},
}
_ESP301 = {**_FOCUS, "tell": _tell_esp301, "mend": ("1MO",)}

POSITIONERS = (
    Backend(name="E-727", open=_e727, tell=_tell_e727, slow=(f"VEL 1 {SCANNER_UM_PER_S:g}",), **_SCANNER),
    Backend(name="E-517", open=_e517, tell=_tell_e517, slow=(f"VEL A {SCANNER_UM_PER_S:g}",), **_SCANNER),
    Backend(name="ESP301-socket", open=_esp301_socket, **_ESP301),
    Backend(name="XPS", open=_xps, tell=_tell_xps, mend=("GroupMotionEnable(Z)",), **_FOCUS),
    *([Backend(name="ESP301-tty", open=_esp301_tty, **_ESP301)] if os.name == "posix" else []),
)
