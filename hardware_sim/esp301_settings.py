"""What can be set on an axis of an ESP301, within which bounds, and what it is called to leave them.

All in mm and s, whatever unit was spoken.
"""

import math
from dataclasses import dataclass, field, replace

from hardware_sim.esp301_errors import (
    ACCELERATION_EXCEEDED,
    AXIS_PARAMETER_OUT_OF_RANGE,
    JERK_EXCEEDED,
    SPEED_OUT_OF_RANGE,
    VELOCITY_EXCEEDED,
    AxisRefusal,
)
from hardware_sim.focus_drive import (
    EMERGENCY_DECELERATION_MM_PER_S2,
    FOLLOWING_ERROR_MM,
    MAX_ACCELERATION_MM_PER_S2,
    MAX_SPEED_MM_PER_S,
    TRAVEL_MM,
)

TRAPEZOIDAL = 1
MAX_JERK_MM_PER_S3 = 1e6
LEAST = 1e-9
"""Of any speed or acceleration: a motion ends some day."""
ROUNDING = 1e-9
"""What a change of unit and back may add."""
LENGTHS = {
    "VA": "speed",
    "VU": "max_speed",
    "OH": "home_speed",
    "AC": "acceleration",
    "AG": "deceleration",
    "AU": "max_acceleration",
    "AE": "emergency_deceleration",
    "JK": "jerk",
    "SL": "low",
    "SR": "high",
    "SH": "home_preset",
    "FE": "following_error",
}
"""Commands that set a length, or a length over some power of time, and the setting that each sets."""


@dataclass
class AxisSettings:
    """What commands set and SM keeps."""

    unit: int = 2
    speed: float = MAX_SPEED_MM_PER_S
    max_speed: float = MAX_SPEED_MM_PER_S
    home_speed: float = MAX_SPEED_MM_PER_S / 2
    acceleration: float = MAX_ACCELERATION_MM_PER_S2
    deceleration: float = MAX_ACCELERATION_MM_PER_S2
    max_acceleration: float = MAX_ACCELERATION_MM_PER_S2
    emergency_deceleration: float = EMERGENCY_DECELERATION_MM_PER_S2
    jerk: float = 2000.0
    low: float = TRAVEL_MM[0]
    high: float = TRAVEL_MM[1]
    home_preset: float = 0.0
    following_error: float = FOLLOWING_ERROR_MM
    trajectory: int = TRAPEZOIDAL
    decimals_shown: int = 4
    words: dict[str, int] = field(default_factory=lambda: {"ZB": 0, "ZE": 3, "ZF": 3, "ZH": 3, "ZS": 5})
    """What is done about amplifier, emergency stop, following error, limit switches and software limits."""

    def copy(self) -> "AxisSettings":
        """Make one that changes apart from this."""
        return replace(self, words=dict(self.words))

    def set_length(self, command: str, value: float) -> None:
        """Set what a command of `LENGTHS` sets, once its value has been found right."""
        match command:
            case "SL":
                refuse_unless(value <= self.high, AXIS_PARAMETER_OUT_OF_RANGE)
            case "SR":
                refuse_unless(value >= self.low, AXIS_PARAMETER_OUT_OF_RANGE)
            case "SH":
                pass
            case _:
                refuse_unless(value >= LEAST, AXIS_PARAMETER_OUT_OF_RANGE)
                most, error = self._most(command)
                refuse_unless(value <= most * (1 + ROUNDING), error)
        setattr(self, LENGTHS[command], value)
        if command == "VU":
            self.speed, self.home_speed = min(self.speed, value), min(self.home_speed, value)

    def _most(self, command: str) -> tuple[float, int]:
        """Say how much may be set, and what more than that is called."""
        match command:
            case "VA" | "OH":
                return self.max_speed, VELOCITY_EXCEEDED
            case "VU":
                return MAX_SPEED_MM_PER_S, SPEED_OUT_OF_RANGE
            case "AC" | "AG":
                return self.max_acceleration, ACCELERATION_EXCEEDED
            case "AU":
                return MAX_ACCELERATION_MM_PER_S2, ACCELERATION_EXCEEDED
            case "AE":
                return EMERGENCY_DECELERATION_MM_PER_S2, ACCELERATION_EXCEEDED
            case "JK":
                return MAX_JERK_MM_PER_S3, JERK_EXCEEDED
        return math.inf, AXIS_PARAMETER_OUT_OF_RANGE


def refuse_unless(allowed: bool, error: int) -> None:
    """Refuse with an error of the axis."""
    if not allowed:
        raise AxisRefusal(error)
