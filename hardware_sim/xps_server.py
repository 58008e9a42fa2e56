"""Newport XPS with one single-axis group (XPS programmer's manual).

A call of a function is answered by `code[,value...],EndOfAPI`. A motion holds the answer, and with it the connection,
until it has ended; who wants to look on or to abort it uses another connection.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hardware_sim.faults import Fault
from hardware_sim.focus_drive import (
    MAX_ACCELERATION_MM_PER_S2,
    MAX_SPEED_MM_PER_S,
    TRAVEL_MM,
    FocusDrive,
    Trip,
)
from hardware_sim.homing import HOME_INDEX, search
from hardware_sim.trapezoid import Leg
from hardware_sim.wire import Wire
from hardware_sim.xps_calls import END, Call, calls, reply
from hardware_sim.xps_errors import (
    ABORTED,
    DISABLED,
    DISABLED_BY_FOLLOWING_ERROR,
    DISABLED_STATES,
    END_OF_RUN,
    FOLLOWING_ERROR,
    HOMING,
    KILLED,
    MEANING,
    MOVING,
    NO_SUCH_GROUP,
    NO_SUCH_POSITIONER,
    NOT_A_NUMBER,
    NOT_A_WHOLE_NUMBER,
    NOT_ALLOWED,
    NOT_REFERENCED,
    OUT_OF_RANGE,
    READY,
    READY_AFTER_ABORT,
    READY_FROM_ENABLE,
    READY_FROM_HOMING,
    READY_FROM_MOTION,
    STATES,
    UNKNOWN_COMMAND,
    WRONG_NUMBER_OF_PARAMETERS,
    WRONG_PASSWORD,
    XpsError,
)

GROUP = "Z"
POSITIONER = "Z.Pos"
FIRMWARE = "XPS-C8 Firmware V2.6.0"
USER, PASSWORD = "Administrator", "Administrator"
HOME_SPEED_MM_PER_S = 10.0
JERK_TIMES_S = (0.005, 0.05)
LEAST = 1e-6
"""Of any speed or acceleration, in mm and s (a choice): a motion ends some day."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")


@dataclass
class Profile:
    """What PositionerSGammaParametersSet and PositionerUserTravelLimitsSet changed."""

    speed: float = MAX_SPEED_MM_PER_S
    acceleration: float = MAX_ACCELERATION_MM_PER_S2
    jerk_times_s: tuple[float, float] = JERK_TIMES_S
    low: float = TRAVEL_MM[0]
    high: float = TRAVEL_MM[1]


class XpsController:
    """What all connections share; each call finds its function by name."""

    def __init__(self, drive: FocusDrive) -> None:
        self._drive = drive
        self._profile = Profile()
        self._rest = READY_FROM_MOTION  # homed and powered, as a laboratory leaves it
        self._under_way: tuple[int, int] | None = None  # number of the drive's motion, and state meanwhile
        self._trips_seen = len(drive.trips())
        self._lock = threading.RLock()
        self._functions: dict[str, tuple[int, Callable[..., list[str]]]] = {
            "Login": (2, self._login),
            "FirmwareVersionGet": (1, lambda _: [FIRMWARE]),
            "ErrorStringGet": (2, lambda code, _: [_named(MEANING, code)]),
            "GroupStatusStringGet": (2, lambda code, _: [_named(STATES, code)]),
            "KillAll": (0, lambda: self._kill(GROUP)),
            "GroupKill": (1, self._kill),
            "GroupInitialize": (1, self._initialize),
            "GroupHomeSearch": (1, self._home),
            "GroupMoveAbsolute": (2, self._move_absolute),
            "GroupMoveRelative": (2, self._move_relative),
            "GroupMoveAbort": (1, self._abort),
            "GroupMotionEnable": (1, self._enable),
            "GroupMotionDisable": (1, self._disable),
            "GroupStatusGet": (2, lambda group, _: [str(self._state(group))]),
            "GroupPositionCurrentGet": (2, lambda name, _: [_mm(self._of(name).encoder_mm())]),
            "GroupPositionSetpointGet": (2, lambda name, _: [_mm(self._of(name).setpoint_mm())]),
            "GroupPositionTargetGet": (2, lambda name, _: [_mm(self._of(name).target_mm)]),
            "GroupVelocityCurrentGet": (2, lambda name, _: [_mm(self._of(name).speed_mm_per_s())]),
            "PositionerSGammaParametersGet": (5, self._get_profile),
            "PositionerSGammaParametersSet": (5, self._set_profile),
            "PositionerUserTravelLimitsGet": (3, self._get_limits),
            "PositionerUserTravelLimitsSet": (3, self._set_limits),
        }

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for call in calls(wire.received()):
            fault = wire.begin()
            wire.send(self._answer(call, fault), len(END))

    def _answer(self, call: Call, fault: Fault | None) -> bytes:
        try:
            if fault is not None and fault.name == "controller_error":
                raise XpsError(int(fault.parameters["code"]) or NOT_ALLOWED)
            if fault is not None:
                self._drive.fail_following()
            return reply(0, *self._carry_out(call))
        except XpsError as error:
            return reply(error.code)

    def _carry_out(self, call: Call) -> list[str]:
        if call.broken:
            raise XpsError(call.broken)
        count, function = self._functions.get(call.function, (0, None))
        if function is None:
            raise XpsError(UNKNOWN_COMMAND)
        if len(call.arguments) != count:
            raise XpsError(WRONG_NUMBER_OF_PARAMETERS)
        return function(*call.arguments)

    def _login(self, user: str, password: str) -> list[str]:
        _require((user, password) == (USER, PASSWORD), WRONG_PASSWORD)
        return []

    def _kill(self, group: str) -> list[str]:
        with self._lock:
            self._state(group)
            self._drive.switch_motor(False)
            self._rest, self._under_way = KILLED, None
        return []

    def _initialize(self, group: str) -> list[str]:
        with self._lock:
            _require(self._state(group) < READY.start, NOT_ALLOWED)
            self._drive.switch_motor(True)
            self._rest = NOT_REFERENCED
        return []

    def _home(self, group: str) -> list[str]:
        with self._lock:
            _require(self._state(group) == NOT_REFERENCED, NOT_ALLOWED)
            fast = Leg(0.0, HOME_SPEED_MM_PER_S, self._profile.acceleration, self._profile.acceleration)
            motion = self._drive.travel(search(HOME_INDEX, self._drive.encoder_mm(), fast))
            self._under_way, self._rest = (motion, HOMING), READY_FROM_HOMING
            trips = self._trips_seen
        return self._to_its_end(motion, trips)

    def _move_absolute(self, group: str, target: str) -> list[str]:
        return self._move(group, lambda: _number(target))

    def _move_relative(self, group: str, way: str) -> list[str]:
        return self._move(group, lambda: self._drive.target_mm + _number(way))

    def _move(self, group: str, target: Callable[[], float]) -> list[str]:
        with self._lock:
            _require(self._state(group) in READY and self._drive.motor_on, NOT_ALLOWED)
            target_mm, settings = target(), self._profile
            _require(settings.low <= target_mm <= settings.high, OUT_OF_RANGE)
            motion = self._drive.move(target_mm, settings.speed, settings.acceleration)
            self._under_way, self._rest = (motion, MOVING), READY_FROM_MOTION
            trips = self._trips_seen
        return self._to_its_end(motion, trips)

    def _to_its_end(self, motion: int, trips_before: int) -> list[str]:
        """Wait for the end of a motion, and tell what it was."""
        self._drive.wait_for(motion)
        with self._lock:
            trips = self._drive.trips(trips_before)
            if trips:
                self._state(GROUP)
                raise XpsError(FOLLOWING_ERROR if trips[0][1] is Trip.FOLLOWING_ERROR else END_OF_RUN)
            if self._drive.motion != motion:
                raise XpsError(ABORTED)
            self._state(GROUP)
        return []

    def _abort(self, group: str) -> list[str]:
        with self._lock:
            _require(self._state(group) in (MOVING, HOMING), NOT_ALLOWED)
            homing = self._state(group) == HOMING
            self._drive.stop(self._profile.acceleration)
            self._under_way, self._rest = None, NOT_REFERENCED if homing else READY_AFTER_ABORT
        return []

    def _enable(self, group: str) -> list[str]:
        with self._lock:
            _require(self._state(group) in DISABLED_STATES, NOT_ALLOWED)
            self._drive.switch_motor(True)
            self._rest = READY_FROM_ENABLE
        return []

    def _disable(self, group: str) -> list[str]:
        with self._lock:
            _require(self._state(group) in READY, NOT_ALLOWED)
            self._drive.switch_motor(False)
            self._rest = DISABLED
        return []

    def _state(self, group: str) -> int:
        """Find the group's state, which a motion or a trip may have changed since the last look."""
        _require(group == GROUP, NO_SUCH_GROUP)
        with self._lock:
            trips = self._drive.trips(self._trips_seen)
            self._trips_seen += len(trips)
            if trips:
                following = trips[-1][1] is Trip.FOLLOWING_ERROR
                self._rest, self._under_way = DISABLED_BY_FOLLOWING_ERROR if following else DISABLED, None
            if self._under_way is not None:
                motion, state = self._under_way
                if self._drive.motion == motion and self._drive.is_moving():
                    return state
                self._under_way = None
            if self._rest in READY and not self._drive.motor_on:  # another controller has switched it off
                self._rest = DISABLED
            return self._rest

    def _of(self, name: str) -> FocusDrive:
        _require(name in (GROUP, POSITIONER), NO_SUCH_GROUP)
        return self._drive

    def _get_profile(self, name: str, *_: str) -> list[str]:
        _require(name == POSITIONER, NO_SUCH_POSITIONER)
        settings = self._profile
        return [_mm(value) for value in (settings.speed, settings.acceleration, *settings.jerk_times_s)]

    def _set_profile(self, name: str, *texts: str) -> list[str]:
        _require(name == POSITIONER, NO_SUCH_POSITIONER)
        speed, acceleration, least_s, most_s = (_number(text) for text in texts)
        _require(LEAST <= speed <= MAX_SPEED_MM_PER_S, OUT_OF_RANGE)
        _require(LEAST <= acceleration <= MAX_ACCELERATION_MM_PER_S2, OUT_OF_RANGE)
        _require(0 < least_s <= most_s, OUT_OF_RANGE)
        settings = self._profile
        settings.speed, settings.acceleration, settings.jerk_times_s = speed, acceleration, (least_s, most_s)
        return []

    def _get_limits(self, name: str, *_: str) -> list[str]:
        _require(name == POSITIONER, NO_SUCH_POSITIONER)
        return [_mm(self._profile.low), _mm(self._profile.high)]

    def _set_limits(self, name: str, low_text: str, high_text: str) -> list[str]:
        _require(name == POSITIONER, NO_SUCH_POSITIONER)
        low, high = _number(low_text), _number(high_text)
        _require(TRAVEL_MM[0] <= low < high <= TRAVEL_MM[1], OUT_OF_RANGE)
        self._profile.low, self._profile.high = low, high
        return []


def _require(allowed: bool, code: int) -> None:
    if not allowed:
        raise XpsError(code)


def _number(text: str) -> float:
    _require(NUMBER.fullmatch(text) is not None, NOT_A_NUMBER)
    return float(text)


def _named(names: dict[int, str], code: str) -> str:
    try:
        number = int(code)
    except ValueError:
        raise XpsError(NOT_A_WHOLE_NUMBER) from None
    _require(number in names, OUT_OF_RANGE)
    return names[number]


def _mm(value: float) -> str:
    return f"{round(value, 6) + 0.0:.6f}"
