"""Focus stage on one axis of a Newport ESP301, ASCII (ESP301 user's manual, section 3; error list in appendix A).

The controller answers queries only; what went wrong with a command waits in a queue that TB? reads. So each command is
followed by TB?. Connecting switches no motor (MO) and homes nothing (OR) unless the rig file asks for it: both may
move the stage.
"""

import threading
import time
from collections.abc import Mapping

from devices.answers import number, quoted
from devices.errors import DeviceError, DeviceRejected, DeviceTimeout, ProtocolError
from devices.moves import SLOWEST_FACTOR, Move, allowed_s, arrived, plausible, refuse_outside, tighter, usable_speed
from devices.moving_axes import MovingAxes
from devices.settings import Esp301Settings
from devices.transport import Handshake, LineTransport
from devices.troubles import overcome

AXIS = "z"
UM_PER_MM = 1000.0
MILLIMETRES = 2  # SN?
MOTOR_OFF = 13  # axis error n13
AXIS_ERROR_BASE = 100  # axis errors are axis * 100 + code
ERROR_QUEUE_LENGTH = 10
HOME_AND_INDEX = 1  # OR: search the home switch, then the index mark of the encoder
HANDSHAKE = Handshake("VE?", r"ESP30\d")


class Esp301Focus(MovingAxes):
    """The focus axis, called z; fulfils `Positioner`, `Homing` and `Switchable`."""

    axes = (AXIS,)

    def __init__(self, name: str, settings: Esp301Settings) -> None:
        """Connect, read units, limits and speed; move nothing that `settings` does not ask for.

        Raises:
            DeviceLost, DeviceTimeout: nobody answers.
            ProtocolError: the axis does not count in millimetres.
            OutOfRange: the rig file's limits share nothing with the controller's.
        """
        super().__init__()
        self.name = name
        self._settings = settings
        self._has_moved = False
        self._motor_off = settings.axis * AXIS_ERROR_BASE + MOTOR_OFF
        self._line = LineTransport(
            name,
            settings.url,
            HANDSHAKE,
            send_end=b"\r",
            receive_end=b"\n",
            answer_s=settings.answer_s,
            baudrate=settings.baudrate,
            rtscts=settings.rtscts,
        )
        self._command_lock = threading.RLock()  # a command and its TB? belong together
        try:
            for code, words in self._take_errors():
                overcome(DeviceRejected(name, f"before connecting: error {code}, {words}", code))
            self._refuse_other_units()
            self._travel_um = (self._ask_number("SL?") * UM_PER_MM, self._ask_number("SR?") * UM_PER_MM)
            self.limits_um = {AXIS: tighter(name, AXIS, settings.limits_um, self._travel_um)}
            self._speed_um_per_s = self._read_speed_um_per_s("VA?")
            if settings.motor_on_connect:
                self._command("MO")
            if settings.home_on_connect:
                self._home_at_connecting()
        except DeviceError:
            self.close()
            raise

    def read_position_um(self) -> dict[str, float]:
        """Ask TP."""
        position_mm = self._ask_number("TP?")
        try:
            return plausible({AXIS: position_mm * UM_PER_MM}, {AXIS: self._travel_um})
        except ValueError as error:
            raise ProtocolError(self.name, f"TP? answered {position_mm:g}: {error}") from error

    def home(self) -> None:
        """Search home (OR); see `Homing`."""
        stop_token = self._stop_token
        low_um, high_um = self._travel_um
        allowed = self._settings.settle_s + SLOWEST_FACTOR * (high_um - low_um) / self._read_speed_um_per_s("OH?")
        self._command(f"OR{HOME_AND_INDEX}", stop_token)
        self._finish(Move({}, allowed, time.monotonic() + allowed, stop_token), self._is_settled)

    def switch_on_again(self) -> None:
        """Send MO; see `Switchable`."""
        if self._has_moved and self._ask_number("MO?") == 0:
            self._command("MO")

    def stop(self) -> None:
        """Send ST, first past the exchange under way, then once more in turn; see `Positioner`.

        The second one catches a move whose command another thread was just sending; it is tried again if the
        controller does not confirm it, or has an older error of this axis to tell first.
        """
        self._stop_token = object()
        self._line.tell_past(f"{self._settings.axis}ST")
        try:
            self._stop_in_turn()
        except DeviceError as unconfirmed:
            overcome(unconfirmed)
            self._stop_in_turn()

    def close(self) -> None:
        """Close the line; the motor stays as it is."""
        self._line.close()

    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        stop_token = self._stop_token
        refuse_outside(self.name, targets_um, self.limits_um)
        distances = {axis: target - self.read_position_um()[axis] for axis, target in targets_um.items()}
        allowed = allowed_s(distances, self.limits_um, {AXIS: self._speed_um_per_s}, self._settings.settle_s)
        for target_um in targets_um.values():
            self._command(f"PA{target_um / UM_PER_MM:.6f}", stop_token)
            self._has_moved = True  # so it was on
        return Move(dict(targets_um), allowed, time.monotonic() + allowed, stop_token)

    def _is_settled(self, move: Move) -> bool:
        """Motion is also done after a limit, a following error or the keypad: errors and position are looked at too."""
        self._refuse_after_stop(move.stop_token)
        if self._ask_number("MD?") != 1:
            return False
        self._refuse_queued_error("motion")
        there = arrived(self.read_position_um(), move.targets_um, self._settings.arrival_tolerance_um)
        self._refuse_after_stop(move.stop_token)
        return there

    def _read_speed_um_per_s(self, query: str) -> float:
        speed_um_per_s = self._ask_number(query) * UM_PER_MM
        if not usable_speed(speed_um_per_s):
            raise ProtocolError(self.name, f"{query} answered a speed of {speed_um_per_s} um/s")
        return speed_um_per_s

    def _refuse_other_units(self) -> None:
        units = self._ask_number("SN?")
        if units != MILLIMETRES:
            raise ProtocolError(self.name, f"axis {self._settings.axis} counts in unit {units:g}, not mm (SN = 2)")

    def _command(self, command: str, stop_token: object | None = None) -> None:
        """Send a command to the axis and read what came of it; with a token, only if no stop came since."""
        with self._command_lock:
            if stop_token is not None:
                self._refuse_after_stop(stop_token)
            self._line.tell(f"{self._settings.axis}{command}")
            self._refuse_queued_error(command)

    def _stop_in_turn(self) -> None:
        try:
            self._command("ST")
        except DeviceRejected as refused:
            if refused.code is None or refused.code >= AXIS_ERROR_BASE:  # one of no axis is another command's
                raise
            overcome(refused)

    def _refuse_queued_error(self, command: str) -> None:
        with self._command_lock:
            errors = self._take_errors()
        for code, words in errors:
            if code // AXIS_ERROR_BASE in (0, self._settings.axis):
                hint = "; only a rig file's motor_on_connect switches it on" if code == self._motor_off else ""
                raise DeviceRejected(self.name, f"{command}: error {code}, {words}{hint}", code)

    def _take_errors(self) -> list[tuple[int, str]]:
        """Empty the queue: an error that is left in it would be taken for the next command's."""
        errors: list[tuple[int, str]] = []
        while len(errors) <= ERROR_QUEUE_LENGTH and (latest := self._next_error())[0] != 0:
            errors.append(latest)
        return errors

    def _next_error(self) -> tuple[int, str]:
        """Read TB?: `code, time stamp, WORDS`."""
        answer = self._line.ask("TB?")
        try:
            code, _, words = answer.split(",", 2)
            return int(code), words.strip()
        except ValueError as error:
            raise self._nonsense("TB?", answer) from error

    def _ask_number(self, query: str) -> float:
        try:
            answer = self._line.ask(f"{self._settings.axis}{query}")
        except DeviceTimeout:
            self._refuse_queued_error(query)  # a query that is refused stays unanswered
            raise
        try:
            return number(answer)
        except ValueError as error:
            raise self._nonsense(query, answer) from error

    def _nonsense(self, query: str, answer: str) -> ProtocolError:
        self._line.doubt()
        return ProtocolError(self.name, f"{query} answered {quoted(answer)}")
