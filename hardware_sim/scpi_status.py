"""Errors and registers of a SCPI instrument (SCPI-99, volume 2, chapter 21; IEEE 488.2, chapter 11)."""

from collections import deque

QUEUE_LENGTH = 20

DATA_TYPE = -104
PARAMETER_NOT_ALLOWED = -108
MISSING_PARAMETER = -109
UNDEFINED_HEADER = -113
TRIGGER_IGNORED = -211
TRIGGER_DEADLOCK = -214
OUT_OF_RANGE = -222
ILLEGAL_VALUE = -224
STALE = -230
QUEUE_OVERFLOW = -350
MEANING = {
    0: "No error",
    DATA_TYPE: "Data type error",
    PARAMETER_NOT_ALLOWED: "Parameter not allowed",
    MISSING_PARAMETER: "Missing parameter",
    UNDEFINED_HEADER: "Undefined header",
    TRIGGER_IGNORED: "Trigger ignored",
    TRIGGER_DEADLOCK: "Trigger deadlock",
    OUT_OF_RANGE: "Data out of range",
    ILLEGAL_VALUE: "Illegal parameter value",
    STALE: "Data corrupt or stale",
    QUEUE_OVERFLOW: "Queue overflow",
}

COMPLETE, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 8, 16, 32, 128
"""Bits of the event register."""
EVENT_OF_ERRORS = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR}
"""By the hundreds of the error."""
ERROR_WAITS, EVENT_SUMMARY, MASTER_SUMMARY = 4, 32, 64
"""Bits of the status byte."""


class ScpiError(Exception):
    """A unit that is not carried out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Status:
    """The error queue, the event register and the status byte."""

    def __init__(self) -> None:
        self.events = POWER_ON
        self.events_enabled = 0
        self.service_enabled = 0
        self._errors: deque[int] = deque()

    def note(self, error: int) -> None:
        """Let an error wait; in a full queue, the last place tells that some were lost."""
        if len(self._errors) < QUEUE_LENGTH:
            self._errors.append(error)
        else:
            self._errors[-1] = QUEUE_OVERFLOW
        self.events |= EVENT_OF_ERRORS[-error // 100]

    def next_error(self) -> str:
        """Take the oldest error."""
        error = self._errors.popleft() if self._errors else 0
        return f'{error},"{MEANING[error]}"'

    def errors(self) -> int:
        """Count those that wait."""
        return len(self._errors)

    def take_events(self) -> int:
        """Read the event register, which empties it."""
        events, self.events = self.events, 0
        return events

    def byte(self) -> int:
        """Sum up."""
        summary = (ERROR_WAITS if self._errors else 0) | (EVENT_SUMMARY if self.events & self.events_enabled else 0)
        return summary | (MASTER_SUMMARY if summary & self.service_enabled else 0)

    def clear(self) -> None:
        """Empty queue and event register; what is enabled stays (*CLS)."""
        self._errors.clear()
        self.events = 0
