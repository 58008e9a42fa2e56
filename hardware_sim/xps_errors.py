"""Error and state numbers of an XPS (XPS programmer's manual; numbers as public drivers list them)."""

WRONG_FORMAT = -7
UNKNOWN_COMMAND = -4
STRING_TOO_LONG = -3
WRONG_NUMBER_OF_PARAMETERS = -9
NOT_A_WHOLE_NUMBER = -15
NOT_A_NUMBER = -14
OUT_OF_RANGE = -17
NO_SUCH_POSITIONER = -18
NO_SUCH_GROUP = -19
NOT_ALLOWED = -22
FOLLOWING_ERROR = -25
ABORTED = -27
END_OF_RUN = -45
WRONG_PASSWORD = -106
MEANING = {
    0: "Successful command",
    STRING_TOO_LONG: "Command string too long",
    UNKNOWN_COMMAND: "Unknown command",
    WRONG_FORMAT: "Wrong format in the command string",
    WRONG_NUMBER_OF_PARAMETERS: "Wrong number of parameters in the command",
    NOT_A_NUMBER: "Wrong parameter type in the command string: double or double * expected",
    NOT_A_WHOLE_NUMBER: "Wrong parameter type in the command string: int, short, int * or short * expected",
    OUT_OF_RANGE: "Parameter out of range or incorrect",
    NO_SUCH_POSITIONER: "Positioner Name does not exist or unknown command",
    NO_SUCH_GROUP: "GroupName does not exist or unknown command",
    NOT_ALLOWED: "Not allowed action",
    FOLLOWING_ERROR: "Following Error",
    ABORTED: "Move Aborted",
    END_OF_RUN: "End of run",
    WRONG_PASSWORD: "Wrong Username or password",
}

KILLED = 7
READY_AFTER_ABORT = 10
READY_FROM_HOMING = 11
READY_FROM_MOTION = 12
READY_FROM_ENABLE = 13
DISABLED = 20
DISABLED_BY_FOLLOWING_ERROR = 22
NOT_REFERENCED = 42
HOMING = 43
MOVING = 44
READY = range(10, 20)
DISABLED_STATES = range(20, 40)
STATES = {
    0: "Not initialized state",
    KILLED: "Not initialized state due to a GroupKill or KillAll command",
    READY_AFTER_ABORT: "Ready state due to an AbortMove command",
    READY_FROM_HOMING: "Ready state from homing",
    READY_FROM_MOTION: "Ready state from motion",
    READY_FROM_ENABLE: "Ready State due to a MotionEnable command",
    DISABLED: "Disable state",
    DISABLED_BY_FOLLOWING_ERROR: "Disabled state due to a following error during motion",
    NOT_REFERENCED: "Not referenced state",
    HOMING: "Homing state",
    MOVING: "Moving state",
}


class XpsError(Exception):
    """A call that ends in an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
