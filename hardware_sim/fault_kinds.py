"""Which faults there are, device by device, and what can be said about each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """One number of a fault: what it is unless told otherwise, and what it may be."""

    usual: float
    low: float
    high: float
    whole: bool = False

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, None if nothing is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{value!r} is not a number"
        if not self.low <= value <= self.high:
            return f"{value!r} is outside {self.low:g}..{self.high:g}"
        if self.whole and value != int(value):
            return f"{value!r} is not a whole number"
        return None


Parameters = Mapping[str, Parameter]
Kinds = Mapping[str, Parameters]

LONGEST_S = 3600.0

WIRE: Kinds = {
    "silence": {},
    "late_answer": {"delay_s": Parameter(0.8, 0.0, 60.0)},
    "garbage": {},
    "partial_line": {},
    "closed_socket": {},
}
"""Spoil the next answer on a wire; times are those of the wall."""

FOR_S = Parameter(2.0, 0.0, LONGEST_S)
BEHIND: Mapping[str, Kinds] = {
    "scanner": {
        "stuck_axis": {"axis": Parameter(0, 0, 2, whole=True), "for_s": FOR_S},
        "drift_burst": {
            "x_um": Parameter(0.3, -50.0, 50.0),
            "y_um": Parameter(-0.2, -50.0, 50.0),
            "over_s": Parameter(1.0, 0.0, LONGEST_S),
        },
    },
    "focus": {"stuck_axis": {"for_s": FOR_S}},
    "force": {
        "force_runaway": {"nn_per_s": Parameter(2000.0, -1e6, 1e6), "for_s": Parameter(1.0, 0.0, LONGEST_S)},
    },
}
"""Change the world behind a device; times are the world's."""

OWN: Mapping[str, Kinds] = {
    "scanner": {"controller_error": {"code": Parameter(0, 0, 9999, whole=True)}, "controller_busy": {}},
    "focus": {"controller_error": {"code": Parameter(0, -999, 999, whole=True)}, "following_error": {}},
    "force": {"overload": {}, "frozen_reading": {"readings": Parameter(50, 1, 1e6, whole=True)}},
    "camera": {"lost_frame": {}, "frozen_frame": {}, "black_frame": {}, "buffer_overrun": {}},
    "video": {
        "stall": {"for_s": FOR_S},
        "lost_frame": {"frames": Parameter(3, 1, 1000, whole=True)},
        "frozen_frame": {"frames": Parameter(3, 1, 1000, whole=True)},
    },
}
"""Understood by the device's own server only; code 0 stands for one that suits."""

DEVICES = tuple(OWN)
WORLD = frozenset(name for kinds in BEHIND.values() for name in kinds)


def known(device: str) -> dict[str, Parameters]:
    """Name every fault of a device, with its parameters."""
    return {**WIRE, **OWN[device], **BEHIND.get(device, {})}


def usual(device: str, name: str) -> dict[str, float]:
    """Give a fault's parameters as they are unless told otherwise."""
    return {key: parameter.usual for key, parameter in known(device)[name].items()}
