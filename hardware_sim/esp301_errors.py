"""What an ESP301 calls its errors, and the queue in which they wait (ESP301 user's manual, appendix A)."""

from collections import deque

SERVO_TICK_S = 0.0004
QUEUE_LENGTH = 10

DOES_NOT_EXIST = 6
PARAMETER_OUT_OF_RANGE = 7
AXIS_OUT_OF_RANGE = 9
AXIS_MISSING = 37
PARAMETER_MISSING = 38
MEANING = {
    0: "NO ERROR DETECTED",
    1: "PCI COMMUNICATION TIME-OUT",
    2: "RS-232 COMMUNICATION TIME-OUT",
    4: "EMERGENCY STOP ACTIVATED",
    DOES_NOT_EXIST: "COMMAND DOES NOT EXIST",
    PARAMETER_OUT_OF_RANGE: "PARAMETER OUT OF RANGE",
    8: "CABLE INTERLOCK ERROR",
    AXIS_OUT_OF_RANGE: "AXIS NUMBER OUT OF RANGE",
    23: "SERVO CYCLE TICK FAILURE",
    25: "DOWNLOAD IN PROGRESS",
    27: "COMMAND NOT ALLOWED",
    AXIS_MISSING: "AXIS NUMBER MISSING",
    PARAMETER_MISSING: "COMMAND PARAMETER MISSING",
    40: "LAST COMMAND CANNOT BE REPEATED",
}

AXIS_PARAMETER_OUT_OF_RANGE = 1
FOLLOWING_ERROR = 3
POSITIVE_HARDWARE_LIMIT = 4
NEGATIVE_HARDWARE_LIMIT = 5
POSITIVE_SOFTWARE_LIMIT = 6
NEGATIVE_SOFTWARE_LIMIT = 7
NOT_CONNECTED = 8
VELOCITY_EXCEEDED = 10
ACCELERATION_EXCEEDED = 11
MOTOR_OFF = 13
JERK_EXCEEDED = 15
PROTECTED = 17
HOMING_ABORTED = 20
SPEED_OUT_OF_RANGE = 24
NOT_WHILE_HOMING = 30
INVALID_TRAJECTORY_MODE = 32
AXIS_MEANING = {
    0: "MOTOR TYPE NOT DEFINED",
    AXIS_PARAMETER_OUT_OF_RANGE: "PARAMETER OUT OF RANGE",
    2: "AMPLIFIER FAULT DETECTED",
    FOLLOWING_ERROR: "FOLLOWING ERROR THRESHOLD EXCEEDED",
    POSITIVE_HARDWARE_LIMIT: "POSITIVE HARDWARE LIMIT DETECTED",
    NEGATIVE_HARDWARE_LIMIT: "NEGATIVE HARDWARE LIMIT DETECTED",
    POSITIVE_SOFTWARE_LIMIT: "POSITIVE SOFTWARE LIMIT DETECTED",
    NEGATIVE_SOFTWARE_LIMIT: "NEGATIVE SOFTWARE LIMIT DETECTED",
    NOT_CONNECTED: "MOTOR / STAGE NOT CONNECTED",
    9: "FEEDBACK SIGNAL FAULT DETECTED",
    VELOCITY_EXCEEDED: "MAXIMUM VELOCITY EXCEEDED",
    ACCELERATION_EXCEEDED: "MAXIMUM ACCELERATION EXCEEDED",
    MOTOR_OFF: "MOTOR NOT ENABLED",
    JERK_EXCEEDED: "MAXIMUM JERK EXCEEDED",
    PROTECTED: "ESP CRITICAL SETTINGS ARE PROTECTED",
    HOMING_ABORTED: "HOMING ABORTED",
    SPEED_OUT_OF_RANGE: "SPEED OUT OF RANGE",
    29: "DIGITAL I/O INTERLOCK DETECTED",
    NOT_WHILE_HOMING: "COMMAND NOT ALLOWED DURING HOMING",
    INVALID_TRAJECTORY_MODE: "INVALID TRAJECTORY MODE",
}
"""By the last two digits of `axis * 100 + error`."""


class Refusal(Exception):
    """A command that is not carried out."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class AxisRefusal(Exception):
    """A command that one axis does not carry out; the axis knows its error, not its own number."""

    def __init__(self, error: int) -> None:
        super().__init__(error)
        self.error = error


class ErrorQueue:
    """The ten latest errors that nobody has read; reading takes the oldest."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] = deque(maxlen=QUEUE_LENGTH)

    def post(self, code: int, time_s: float) -> None:
        """Let an error wait."""
        self._waiting.append((code, ticks(time_s)))

    def next_code(self) -> int:
        """Take the oldest error, 0 if there is none."""
        return self._waiting.popleft()[0] if self._waiting else 0

    def next_message(self, now_s: float) -> str:
        """Take the oldest error: its code, when it arose in servo ticks, and its meaning."""
        code, when = self._waiting.popleft() if self._waiting else (0, ticks(now_s))
        return f"{code}, {when}, {meaning(code)}"

    def clear(self) -> None:
        """Forget them all."""
        self._waiting.clear()


def ticks(time_s: float) -> int:
    """Count world time in servo cycles."""
    return int(time_s / SERVO_TICK_S)


def meaning(code: int) -> str:
    """Say what a code stands for."""
    return MEANING.get(code) or (AXIS_MEANING.get(code % 100, "") if code >= 100 else "") or "UNKNOWN ERROR"
