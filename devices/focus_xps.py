"""Focus stage on a group of a Newport XPS (TCP; function names of its programmer's manual).

Two connections: one carries the motion calls, which answer when the motion has ended, the other asks and aborts
meanwhile. Connecting initialises, enables and homes nothing unless the rig file asks for it.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import closing

from devices.answers import number, quoted
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.moves import SLOWEST_FACTOR, Move, allowed_s, arrived, plausible, refuse_outside, tighter, usable_speed
from devices.moving_axes import MovingAxes
from devices.settings import XpsSettings
from devices.troubles import overcome, overcoming
from devices.xps_line import Reply, XpsLine

AXIS = "z"
UM_PER_MM = 1000.0
NOT_ALLOWED = -22  # the state of the group forbids the call: an abort with nothing to abort, a move unreferenced
MOVE_ABORTED = -27
ABORT_POLL_S = 0.001
NOT_INITIALISED = range(10)  # GroupStatusGet
DISABLED = range(20, 40)
NOT_REFERENCED = 42


class XpsFocus(MovingAxes):
    """The focus axis, called z; fulfils `Positioner`, `Homing` and `Switchable`."""

    axes = (AXIS,)
    stop_code = MOVE_ABORTED

    def __init__(self, name: str, settings: XpsSettings) -> None:
        """Connect, log in, read limits and speed; move nothing that `settings` does not ask for.

        Raises:
            DeviceLost, DeviceTimeout: nobody answers.
            DeviceRejected: no such user, group or positioner.
            OutOfRange: the rig file's limits share nothing with the controller's.
        """
        super().__init__()
        self.name = name
        self._settings = settings
        self._asking, self._moving = self._line(), self._line()
        self._begin_lock = threading.RLock()  # an abort, and the motion call after it, belong together
        self._has_moved = False
        self._motion = ""
        self._reply: Reply | None = None  # to that motion call
        try:
            self._travel_um = self._read_travel_um()
            self.limits_um = {AXIS: tighter(name, AXIS, settings.limits_um, self._travel_um)}
            self._speed_um_per_s = self._read_speed_um_per_s()
            if settings.motor_on_connect:
                self._switch_on()
            if settings.home_on_connect:
                self._home_at_connecting()
        except DeviceError:
            self.close()
            raise

    def read_position_um(self) -> dict[str, float]:
        """Ask GroupPositionCurrentGet."""
        function = f"GroupPositionCurrentGet({self._settings.group},double *)"
        (position_mm,) = self._ask_numbers(function, 1)
        try:
            return plausible({AXIS: position_mm * UM_PER_MM}, {AXIS: self._travel_um})
        except ValueError as error:
            raise ProtocolError(self.name, f"{function} answered {position_mm:g}: {error}") from error

    def home(self) -> None:
        """Initialise the group and search home, from whatever state it is in; see `Homing`."""
        stop_token = self._stop_token
        group, (low_um, high_um) = self._settings.group, self._travel_um
        status = self._read_status()
        if status not in (*NOT_INITIALISED, NOT_REFERENCED):
            self._tell(f"GroupKill({group})")
        if status != NOT_REFERENCED:
            self._tell(f"GroupInitialize({group})")
        allowed = self._settings.settle_s + SLOWEST_FACTOR * (high_um - low_um) / self._speed_um_per_s
        self._begin_motion(f"GroupHomeSearch({group})", stop_token)
        self._finish(Move({}, allowed, time.monotonic() + allowed, stop_token), self._has_ended)

    def switch_on_again(self) -> None:
        """Send GroupMotionEnable; see `Switchable`. A group that has lost its reference is left to whoever homes it."""
        if self._has_moved and self._read_status() in DISABLED:
            self._tell(f"GroupMotionEnable({self._settings.group})")

    def stop(self) -> None:
        """Send GroupMoveAbort, on a connection of its own if the asking one is stuck; see `Positioner`."""
        self._stop_token = object()
        if self._asking.is_stuck():
            with overcoming(DeviceError), closing(self._line()) as beside:  # the one in turn raises, or mends it
                self._abort(beside)
        try:
            self._abort_for_sure()
        except (DeviceTimeout, DeviceLost, ProtocolError) as unconfirmed:
            overcome(unconfirmed)
            self._abort_for_sure()

    def close(self) -> None:
        """Close both connections; motor and motion stay as they are."""
        self._asking.close()
        self._moving.close()

    def _line(self) -> XpsLine:
        settings = self._settings
        login = f"Login({settings.user},{settings.password})"
        return XpsLine(self.name, (settings.host, settings.port), login, settings.answer_s)

    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        stop_token = self._stop_token
        refuse_outside(self.name, targets_um, self.limits_um)
        distances = {axis: target - self.read_position_um()[axis] for axis, target in targets_um.items()}
        allowed = allowed_s(distances, self.limits_um, {AXIS: self._speed_um_per_s}, self._settings.settle_s)
        for target_um in targets_um.values():
            self._begin_motion(f"GroupMoveAbsolute({self._settings.group},{target_um / UM_PER_MM:.6f})", stop_token)
        return Move(dict(targets_um), allowed, time.monotonic() + allowed, stop_token)

    def _begin_motion(self, function: str, stop_token: object) -> None:
        """Begin a motion call, after ending the one that may still be under way: a group refuses a second."""
        with self._begin_lock:
            if not self._has_answered():
                self._abort_for_sure()
                with overcoming(DeviceTimeout):  # then that reply is lost, and the connection was dropped with it
                    self._moving.wait(self._settings.settle_s)
            self._refuse_after_stop(stop_token)
            self._reply = None
            self._motion = function
            self._moving.begin(function)

    def _is_settled(self, move: Move) -> bool:
        """The motion call has answered, and the stage is where it was sent."""
        if not move.targets_um:
            self._refuse_after_stop(move.stop_token)
            return True
        there = self._has_ended(move) and arrived(
            self.read_position_um(), move.targets_um, self._settings.arrival_tolerance_um
        )
        self._refuse_after_stop(move.stop_token)
        return there

    def _has_ended(self, move: Move) -> bool:
        """The motion call has answered, without an error."""
        self._refuse_after_stop(move.stop_token)
        with self._begin_lock:
            ended = self._has_answered()
            function, reply = self._motion, self._reply
        self._refuse_after_stop(move.stop_token)
        if ended and reply is None:
            raise DeviceLost(self.name, f"the connection that {function} was to answer on is gone")
        if reply is not None and reply.code:
            raise self._refusal(function, reply.code)
        self._has_moved |= ended
        return ended

    def _switch_on(self) -> None:
        status = self._read_status()
        if status in NOT_INITIALISED:
            self._tell(f"GroupInitialize({self._settings.group})")
        elif status in DISABLED:
            self._tell(f"GroupMotionEnable({self._settings.group})")

    def _abort_for_sure(self) -> None:
        """Abort, again and again while a motion call is under way that the controller has not begun to carry out."""
        give_up = time.monotonic() + self._settings.answer_s
        while not self._abort(self._asking) and time.monotonic() < give_up:
            with self._begin_lock:
                if self._has_answered():
                    return
            time.sleep(ABORT_POLL_S)

    def _abort(self, line: XpsLine) -> bool:
        """Abort the motion; False where there is none, which is nothing wrong."""
        function = f"GroupMoveAbort({self._settings.group})"
        code = line.call(function).code
        if code not in (0, NOT_ALLOWED):
            raise self._refusal(function, code)
        return code == 0

    def _has_answered(self) -> bool:
        """Tell whether no motion call is under way, and keep the reply to the last."""
        if self._moving.is_busy():
            self._reply = self._moving.fetch()
        return not self._moving.is_busy()

    def _read_status(self) -> int:
        (status,) = self._ask_numbers(f"GroupStatusGet({self._settings.group},int *)", 1)
        return int(status)

    def _read_travel_um(self) -> tuple[float, float]:
        function = f"PositionerUserTravelLimitsGet({self._settings.positioner},double *,double *)"
        low_mm, high_mm = self._ask_numbers(function, 2)
        return low_mm * UM_PER_MM, high_mm * UM_PER_MM

    def _read_speed_um_per_s(self) -> float:
        function = f"PositionerSGammaParametersGet({self._settings.positioner},double *,double *,double *,double *)"
        speed_mm_per_s = self._ask_numbers(function, 4)[0]
        if not usable_speed(speed_mm_per_s):
            raise ProtocolError(self.name, f"{function} answered a speed of {speed_mm_per_s} mm/s")
        return speed_mm_per_s * UM_PER_MM

    def _tell(self, function: str) -> Reply:
        reply = self._asking.call(function)
        if reply.code:
            raise self._refusal(function, reply.code)
        return reply

    def _ask_numbers(self, function: str, count: int) -> list[float]:
        values = self._tell(function).values
        try:
            numbers = [number(value) for value in values]
        except ValueError as error:
            raise ProtocolError(self.name, f"{function} answered {quoted(','.join(values))}") from error
        if len(numbers) != count:
            raise ProtocolError(self.name, f"{function} answered {len(numbers)} values, not {count}")
        return numbers

    def _refusal(self, function: str, code: int) -> DeviceRejected:
        """Make the error of a refused call, in the controller's words if it has some."""
        if code == MOVE_ABORTED:
            return Stopped(self.name, f"{function}: stopped", code)
        try:
            words = ", ".join(self._asking.call(f"ErrorStringGet({code},char *)").values)
        except DeviceError:
            words = "and the controller does not say what that is"
        return DeviceRejected(self.name, f"{function}: error {code}, {words}", code)
