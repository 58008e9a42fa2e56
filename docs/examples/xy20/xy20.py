"""Driver of the XY-20, a stage with two axes on a serial line (its manual: docs/writing_a_driver.md).

Connecting asks and moves nothing. Each command but HALT is answered by one line, so a command and its answer are one
exchange of the line, and a refusal is the answer to its own command.
"""

import re
import threading
import time
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from devices.answers import quoted
from devices.errors import DeviceError, DeviceRejected, ProtocolError
from devices.moves import SLOWEST_FACTOR, Move, allowed_s, arrived, refuse_outside, tighter, usable_speed
from devices.moving_axes import MovingAxes
from devices.settings import AnswerTime, DriverSettings, Kind, LimitsUm, SerialUrl
from devices.transport import Handshake, LineTransport
from devices.troubles import overcome

COUNTS_PER_UM = 10
HANDSHAKE = Handshake("ID?", r"^XY20 ")  # no other answer begins like this
WHOLE = r"(-?\d+)"
ERRORS = {1: "unknown command", 2: "beyond the travel", 3: "motors off", 4: "busy"}
STALLED = 5


class Xy20Settings(DriverSettings):
    """What a rig file says of an XY-20."""

    kind: ClassVar[Kind] = "positioner"
    axes: ClassVar[tuple[str, ...]] = ("x", "y")
    driver: Literal["xy20"] = "xy20"
    url: SerialUrl
    limits_um: dict[Literal["x", "y"], LimitsUm] = Field(default_factory=dict)
    settle_s: PositiveFloat = 1.0
    arrival_tolerance_um: PositiveFloat = 0.5
    answer_s: AnswerTime = 0.5
    baudrate: Annotated[int, Field(gt=0)] = 115200


class Xy20(MovingAxes):
    """Both axes; fulfils `Positioner` and `Homing`."""

    axes = Xy20Settings.axes

    def __init__(self, name: str, settings: Xy20Settings) -> None:
        """Connect, read limits and speed; move nothing.

        Raises:
            DeviceLost, DeviceTimeout: nobody answers.
            ProtocolError: an answer that the manual does not allow.
            OutOfRange: the rig file's limits share nothing with the controller's.
        """
        super().__init__()
        self.name = name
        self._settings = settings
        self._command_lock = threading.Lock()  # whether a stop came, and the command: nothing may come between
        self._line = LineTransport(
            name,
            settings.url,
            HANDSHAKE,
            send_end=b"\r",
            receive_end=b"\n",
            answer_s=settings.answer_s,
            baudrate=settings.baudrate,
        )
        try:
            self._travel_um = self._read_travel_um()
            self.limits_um = {
                axis: tighter(name, axis, settings.limits_um.get(axis, travel), travel)  # type: ignore[call-overload]
                for axis, travel in self._travel_um.items()
            }
            self._speed_um_per_s = self._read_speed_um_per_s()
        except DeviceError:
            self.close()
            raise

    def read_position_um(self) -> dict[str, float]:
        """Ask POS?; never a memory of where it was sent."""
        counts = self._ask("POS?", f"{WHOLE} {WHOLE}")
        return {axis: int(count) / COUNTS_PER_UM for axis, count in zip(self.axes, counts, strict=True)}

    def home(self) -> None:
        """Go to both switches (HOME); see `Homing`."""
        stop_token = self._stop_token
        longest_um = max(high - low for low, high in self._travel_um.values())
        allowed = self._settings.settle_s + SLOWEST_FACTOR * longest_um / self._speed_um_per_s
        self._command("HOME", stop_token)
        self._finish(Move({}, allowed, time.monotonic() + allowed, stop_token), self._is_settled)

    def stop(self) -> None:
        """Send HALT past the exchange under way, then once more in turn; see `Positioner`.

        The second one catches a move that another thread was just sending, and the answer to what follows it shows
        that the controller has taken it. Tried again once: a stop must not fail of one lost answer.
        """
        self._stop_token = object()  # who waits for a move leaves; whoever was about to send one does not
        self._line.tell_past("HALT")
        try:
            self._stop_in_turn()
        except DeviceError as unconfirmed:
            overcome(unconfirmed)
            self._stop_in_turn()

    def close(self) -> None:
        """Close the line; a move under way goes on."""
        self._line.close()

    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        """Check all targets, then send one GO for all axes named."""
        stop_token = self._stop_token
        refuse_outside(self.name, targets_um, self.limits_um)  # NaN and unknown axes too; nothing was sent
        here_um = self.read_position_um()
        distances_um = {axis: target - here_um[axis] for axis, target in targets_um.items()}
        speeds_um_per_s = dict.fromkeys(self.axes, self._speed_um_per_s)
        allowed = allowed_s(distances_um, self.limits_um, speeds_um_per_s, self._settings.settle_s)
        if targets_um:
            words = (f"{axis.upper()}{round(target * COUNTS_PER_UM)}" for axis, target in targets_um.items())
            self._command(f"GO {' '.join(words)}", stop_token)
        return Move(dict(targets_um), allowed, time.monotonic() + allowed, stop_token, distances_um)

    def _is_settled(self, move: Move) -> bool:
        """READY is not enough: the keypad's stop makes the controller ready, too, so the position is looked at."""
        self._refuse_after_stop(move.stop_token)
        (state,) = self._ask("ST?", "(READY|MOVING|STALLED)")
        if state == "STALLED":
            raise DeviceRejected(self.name, "stalled on its way", STALLED)
        there = state == "READY" and arrived(
            self.read_position_um(), move.targets_um, self._settings.arrival_tolerance_um
        )
        self._refuse_after_stop(move.stop_token)
        return there

    def _stop_in_turn(self) -> None:
        with self._command_lock:
            self._line.tell("HALT")
            self._ask("ST?", "(READY|MOVING|STALLED)")

    def _command(self, command: str, stop_token: object) -> None:
        """Send what moves, unless a stop came since."""
        with self._command_lock:
            self._refuse_after_stop(stop_token)
            self._ask(command, "OK")

    def _ask(self, line: str, allowed: str) -> tuple[str, ...]:
        """Ask, and return what the groups of `allowed` caught; anything else is refused, never guessed."""
        answer = self._line.ask(line)
        if error := re.fullmatch(r"ERR (\d+)", answer):
            code = int(error[1])
            raise DeviceRejected(self.name, f"{line}: error {code}, {ERRORS.get(code, 'not in the manual')}", code)
        if found := re.fullmatch(allowed, answer):
            return found.groups()
        self._line.doubt()  # the next exchange begins with a handshake, and throws away what is left of this one
        raise ProtocolError(self.name, f"{line} answered {quoted(answer)}")

    def _read_travel_um(self) -> dict[str, tuple[float, float]]:
        ends_um = [int(count) / COUNTS_PER_UM for count in self._ask("LIM?", " ".join([WHOLE] * 4))]
        return {"x": (ends_um[0], ends_um[1]), "y": (ends_um[2], ends_um[3])}

    def _read_speed_um_per_s(self) -> float:
        (counts_per_s,) = self._ask("VEL?", WHOLE)
        speed_um_per_s = int(counts_per_s) / COUNTS_PER_UM
        if not usable_speed(speed_um_per_s):
            raise ProtocolError(self.name, f"VEL? answered a speed of {speed_um_per_s:g} um/s")
        return speed_um_per_s


DRIVER = (Xy20Settings, Xy20)
"""What the entry point names: the model of the settings, and what makes a device of a name and settings."""
