"""PI piezo scanner, GCS 2.0 over TCP (pipython; E-727 and E-517 command sets).

Connecting sends queries only: no start-up sequence, no servo switch, no autozero, so a probe near a surface is safe.
pipython raises `GCSError` for a refusal and for silence, and stumbles with `ValueError` over an answer that it cannot
read; all of that ends in `_ask`. After anything but a clean refusal the connection is dropped, because a late answer
would otherwise be taken for the answer to the next query.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from pipython import GCS2Device, GCSError, gcserror

from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.gcs_gateway import GcsGateway
from devices.moves import Move, allowed_s, arrived, refuse_outside, tighter, usable_speed
from devices.moving_axes import MovingAxes
from devices.settings import PiGcsSettings

NEWEST_SYNTAX = 2.0  # CSV?: GCS 3.0 controllers speak another language
STOP_ALL = "\x18"  # #24
NO_SERVO = 5
STOPPED_BY_COMMAND = 10
NO_LIMITS = (-math.inf, math.inf)

T = TypeVar("T")


class PiScanner(MovingAxes):
    """Axes of one PI controller; fulfils `Positioner`."""

    stop_code = STOPPED_BY_COMMAND

    def __init__(self, name: str, settings: PiGcsSettings) -> None:
        """Connect and read limits and speeds; move nothing.

        Raises:
            DeviceLost: no connection.
            OutOfRange: the rig file's limits share nothing with the controller's.
        """
        super().__init__()
        self.name = name
        self.axes = tuple(settings.axes)
        self._settings = settings
        self._identifiers: dict[str, str] = dict(settings.axes.items())
        self._lock = threading.RLock()
        self._gateway: GcsGateway | None = None
        self._device: Any = None
        self._closed = False
        try:
            self.limits_um = self._read_limits_um()
            self._speeds_um_per_s = self._read_speeds_um_per_s()
        except DeviceError:
            self.close()
            raise

    def read_position_um(self) -> dict[str, float]:
        """Ask POS? for all axes; a stop by another thread meanwhile is no reason not to tell."""
        try:
            return self._position_um()
        except Stopped:
            return self._position_um()

    def stop(self) -> None:
        """Send #24, first past the exchange under way, then once more in turn.

        The second one catches a move whose command another thread was just sending.
        """
        self._stop_token = object()
        if gateway := self._gateway:
            with suppress(DeviceLost):  # the second one tells, or mends it
                gateway.send_at_once(STOP_ALL)
        self._ask("#24", lambda device: device.StopAll(noraise=True))

    def close(self) -> None:
        """Close the connection; axes and servo stay as they are."""
        self._closed = True
        with self._lock:
            self._drop()

    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        stop_token = self._stop_token
        refuse_outside(self.name, targets_um, self.limits_um)
        targets = {axis: float(target) for axis, target in targets_um.items()}
        position = self.read_position_um()
        distances = {axis: target - position[axis] for axis, target in targets.items()}
        allowed = allowed_s(distances, self.limits_um, self._speeds_um_per_s, self._settings.settle_s)
        if targets:
            self._ask("MOV", lambda device: self._send_move(device, targets, stop_token))
        return Move(targets, allowed, time.monotonic() + allowed, stop_token)

    def _send_move(self, device: Any, targets_um: Mapping[str, float], stop_token: object) -> None:
        self._refuse_after_stop(stop_token)
        device.MOV({self._identifiers[axis]: target for axis, target in targets_um.items()})

    def _is_settled(self, move: Move) -> bool:
        """Ask ONT? of all axes, and POS?: a stop by somebody else makes the place of the stop the target."""
        self._refuse_after_stop(move.stop_token)
        on_target = self._ask_axes("ONT?", lambda device: device.qONT())
        there = all(on_target[axis] for axis in move.targets_um) and arrived(
            self._position_um(), move.targets_um, self._settings.arrival_tolerance_um
        )
        self._refuse_after_stop(move.stop_token)
        return there

    def _position_um(self) -> dict[str, float]:
        return self._ask_axes("POS?", lambda device: device.qPOS())

    def _read_limits_um(self) -> dict[str, tuple[float, float]]:
        lowest = self._ask_axes("TMN?", lambda device: device.qTMN())
        highest = self._ask_axes("TMX?", lambda device: device.qTMX())
        ours = self._settings.limits_um
        return {
            axis: tighter(self.name, axis, ours.get(axis, NO_LIMITS), (lowest[axis], highest[axis]))
            for axis in self._settings.axes
        }

    def _read_speeds_um_per_s(self) -> dict[str, float]:
        if (speed := self._settings.speed_um_per_s) is not None:
            return dict.fromkeys(self.axes, speed)
        speeds = self._ask_axes("VEL?", lambda device: device.qVEL())
        if not all(usable_speed(speed) for speed in speeds.values()):
            raise ProtocolError(self.name, f"VEL? answered {speeds}; set speed_um_per_s in the rig file")
        return speeds

    def _ask_axes(self, command: str, query: Callable[[Any], Mapping[str, Any]]) -> dict[str, float]:
        """Ask for all axes and pick ours by the name in the answer; asked for some, pipython goes by their order alone.

        Raises:
            ProtocolError: an axis is missing, or a value is not a finite number.
        """
        return self._ask(command, lambda device: self._ours(command, query(device)))

    def _ours(self, command: str, answer: Mapping[str, Any]) -> dict[str, float]:
        values = {axis: float(answer[identifier]) for axis, identifier in self._identifiers.items()}
        if not all(math.isfinite(value) for value in values.values()):
            raise ProtocolError(self.name, f"{command} answered {dict(answer)}")
        return values

    def _ask(self, command: str, call: Callable[[Any], T]) -> T:
        """Make one exchange on the connection, opened first if need be; the lock is held for it alone."""
        with self._lock:
            try:
                return call(self._connected())
            except GCSError as error:
                raise self._meaning(command, error) from error
            except (DeviceLost, ProtocolError):
                self._drop()
                raise
            except (ValueError, KeyError, IndexError, TypeError) as error:
                self._drop()
                raise ProtocolError(self.name, f"cannot read the answer to {command}: {error!r}") from error

    def _meaning(self, command: str, error: GCSError) -> DeviceError:
        code = int(error.val)
        if code == gcserror.E_7_COM_TIMEOUT:
            code = self._cause_of_silence()
            self._drop()  # the answer may still come
            if code == 0:
                return DeviceTimeout(self.name, f"no answer to {command} within {self._settings.answer_s} s")
        if code < 0:
            self._drop()
            return ProtocolError(self.name, f"{command}: {error}")
        if code == STOPPED_BY_COMMAND:
            return Stopped(self.name, f"{command}: stopped", code)
        hint = "; the servo is off, and this driver never switches it" if code == NO_SERVO else ""
        return DeviceRejected(self.name, f"{command}: error {code}, {_words(code)}{hint}", code)

    def _cause_of_silence(self) -> int:
        """Ask once why a query got no answer: GCS leaves a refused query unanswered. 0 if that is silent too."""
        try:
            return int(self._device.qERR())
        except (GCSError, DeviceLost, ProtocolError, ValueError):
            return 0

    def _connected(self) -> Any:
        if self._closed:
            raise DeviceLost(self.name, "is closed")
        if self._device is None:
            self._gateway = GcsGateway(
                self.name, self._settings.host, self._settings.port, answer_s=self._settings.answer_s
            )
            self._device = GCS2Device(gateway=self._gateway)
            self._device.qERR()  # forget what went wrong before our time
            syntax = float(self._device.qCSV())
            if not syntax <= NEWEST_SYNTAX:  # nan is newer, too
                raise ProtocolError(self.name, f"speaks GCS {syntax}, this driver up to {NEWEST_SYNTAX}")
        return self._device

    def _drop(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
        self._gateway = self._device = None


def _words(code: int) -> str:
    """PI's words for an error code, without the number that pipython adds."""
    return str(GCSError.translate_error(code)).removesuffix(str(code)).strip() or "unknown to pipython"
