"""Exchanges with one PI controller, GCS 2.0 over TCP (pipython), opened again after a loss.

A query is answered, or stays unanswered when the controller refuses it; then `ERR?` tells why. So a query costs one
round trip, and `ERR?` is asked only after silence. A command and its `ERR?` travel together, in one more round trip.
After anything but a clean refusal the connection is dropped, because a late answer would otherwise be taken for the
answer to the next query. So `ERR?` after silence goes over a new one: the controller keeps one error for all of them.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pipython import GCS2Device, GCSError, gcserror

from devices.answers import number, quoted
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.gcs_gateway import GcsGateway, shown
from devices.troubles import overcome

NEWEST_SYNTAX = 2.0  # CSV?: GCS 3.0 controllers speak another language
STOP_ALL = "\x18"  # #24
NO_SERVO = 5
STOPPED_BY_COMMAND = 10
BUSY = 1005
BUSY_POLL_S = 0.01
CONNECT_S = 2.0
PROMPT_S = 0.01  # an exchange that takes longer than this is stuck; a stop then goes around it
CODE = re.compile(r"-?\d{1,5}", re.ASCII)

T = TypeVar("T")


def _always() -> None:
    """Stand in for a condition where there is none."""


class PiConnection:
    """One exchange at a time, by whatever thread; only a stop goes past."""

    def __init__(self, name: str, host: str, port: int, answer_s: float) -> None:
        self.name = name
        self._host = host
        self._port = port
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._gateway: GcsGateway | None = None
        self._device: Any = None
        self._closed = False

    def ask(self, query: str, read: Callable[[str], T]) -> T:
        """Send a query and return what `read` makes of the answer; one that finds the controller busy is sent twice.

        Raises:
            DeviceRejected: the controller refused.
            DeviceTimeout, DeviceLost: no whole answer in time, or no connection.
            ProtocolError: `read` raised ValueError.
        """
        try:
            return self._ask_once(query, read)
        except DeviceRejected as refused:
            if refused.code != BUSY:
                raise
            overcome(refused)
        return self._ask_once(query, read)

    def tell(self, command: str, condition: Callable[[], None] = _always) -> None:
        """Send a command and read what came of it; one that finds the controller busy is sent again for `answer_s`.

        Args:
            condition: called just before the command is sent, with the connection in hand; raises to prevent it.

        Raises:
            DeviceRejected: the controller refused.
            DeviceTimeout, DeviceLost, ProtocolError: no proper answer; whether the command was taken is unknown.
        """
        give_up = time.monotonic() + self._answer_s
        if (code := self._tell_once(command, condition)) == BUSY:
            overcome(self.refusal(command, code))
        while code == BUSY and time.monotonic() < give_up:
            time.sleep(BUSY_POLL_S)
            code = self._tell_once(command, condition)
        if code:
            raise self.refusal(command, code)

    def refuse_error(self, meanwhile: str) -> None:
        """Ask ERR?, and raise what it tells about something that goes on; that the controller is busy is no error."""
        code = self.ask("ERR?", _code)
        if code == BUSY:
            overcome(self.refusal(meanwhile, code))
        elif code:
            raise self.refusal(meanwhile, code)

    def tell_beside(self, command: str) -> None:
        """Send a command over a connection of its own, past an exchange that is stuck; nobody learns what came of it.

        Raises:
            DeviceLost: no second connection.
        """
        with GcsGateway(self.name, self._host, self._port, connect_s=self._answer_s) as beside:
            beside.send(f"{command}\n")

    def stop_all(self) -> None:
        """Send #24, first past the exchange under way, then once more in turn.

        The second one catches a move whose command another thread was just sending; it is tried again on a new
        connection if the controller does not confirm it.

        Raises:
            DeviceError: it was not confirmed the second time either.
        """
        self._stop_at_once()
        try:
            self._stop_in_turn()
        except DeviceError as unconfirmed:
            overcome(unconfirmed)
            self._stop_in_turn()

    def refusal(self, command: str, code: int) -> DeviceRejected:
        """Make the error of a refused command."""
        if code == STOPPED_BY_COMMAND:
            return Stopped(self.name, f"{shown(command)}: stopped", code)
        hint = "; the servo is off, and only a rig file's start_up switches it on" if code == NO_SERVO else ""
        return DeviceRejected(self.name, f"{shown(command)}: error {code}, {_words(code)}{hint}", code)

    def close(self) -> None:
        """Close for good; may be called twice."""
        self._closed = True
        with self._lock:
            self._drop()

    def _ask_once(self, query: str, read: Callable[[str], T]) -> T:
        with self._lock, self._dropping():
            self._connected()
            began = time.monotonic()
            try:
                answer = self._exchange(query)
            except DeviceTimeout as silence:
                self._drop()  # the answer may still come
                raise self._error_of_silence(query, began) from silence
            return self._read(query, answer, read)

    def _tell_once(self, command: str, condition: Callable[[], None]) -> int:
        """Send a command and its ERR? in one write, so that nothing comes between them; returns the error code."""
        line_end = "" if len(command) == 1 else "\n"  # a control character has none
        with self._lock, self._dropping():
            self._connected()
            condition()
            return self._read("ERR?", self._exchange(f"{command}{line_end}ERR?"), _code)

    def _stop_in_turn(self) -> None:
        if (code := self._tell_once(STOP_ALL, _always)) not in (0, STOPPED_BY_COMMAND):
            raise self.refusal("#24", code)

    def _stop_at_once(self) -> None:
        if gateway := self._gateway:
            with suppress(DeviceLost):  # the one in turn tells, or mends it
                gateway.send_at_once(STOP_ALL)
            if self._lock.acquire(timeout=PROMPT_S):
                self._lock.release()
                return
        if self._closed:
            return
        with suppress(DeviceLost), GcsGateway(self.name, self._host, self._port, connect_s=self._answer_s) as beside:
            beside.send_at_once(STOP_ALL)

    def _exchange(self, text: str) -> str:
        """Write once and return one whole answer."""
        try:
            return str(self._connected().read(text))
        except GCSError as error:
            if error.val == gcserror.E_7_COM_TIMEOUT:
                raise DeviceTimeout(self.name, f"no answer to {shown(text)} within {self._answer_s} s") from error
            raise ProtocolError(self.name, f"{shown(text)}: {error}") from error
        except ValueError as error:  # pipython's own message about a line that ends too early
            raise ProtocolError(self.name, f"cannot read the answer to {shown(text)}: {error!r}") from error

    def _read(self, query: str, answer: str, read: Callable[[str], T]) -> T:
        try:
            return read(answer)
        except ValueError as error:
            raise ProtocolError(self.name, f"{shown(query)} answered {quoted(answer)}: {error}") from error

    def _error_of_silence(self, query: str, asked_s: float) -> DeviceError:
        code = self._cause_of_silence()
        if code and code != STOPPED_BY_COMMAND:  # a stop refuses no query
            return self.refusal(query, code)
        cause = "ERR? is silent, too" if code is None else "ERR? tells of no refusal"
        waited_s = time.monotonic() - asked_s
        return DeviceTimeout(self.name, f"no answer to {shown(query)} within {waited_s:.2g} s; {cause}")

    def _cause_of_silence(self) -> int | None:
        """Ask ERR? on a new connection; None if that brings no code within `answer_s`."""
        give_up = time.monotonic() + self._answer_s
        try:
            self._open(connect_s=self._answer_s)
            self._device.timeout = 1000 * max(give_up - time.monotonic(), 0.0)
            code = _code(self._exchange("ERR?"))
            self._device.timeout = 1000 * self._answer_s
        except (DeviceError, ValueError):
            self._drop()
            return None
        return code

    def _connected(self) -> Any:
        if self._closed:
            raise DeviceLost(self.name, "is closed")
        if self._device is None:
            self._open(CONNECT_S)
            if before_us := self._read("ERR?", self._exchange("ERR?"), _code):
                overcome(self.refusal("before connecting", before_us))
            syntax = self._read("CSV?", self._exchange("CSV?"), number)
            if syntax > NEWEST_SYNTAX:
                raise ProtocolError(self.name, f"speaks GCS {syntax}, this driver up to {NEWEST_SYNTAX}")
        return self._device

    def _open(self, connect_s: float) -> None:
        gateway = GcsGateway(self.name, self._host, self._port, connect_s=connect_s, answer_s=self._answer_s)
        self._gateway, self._device = gateway, GCS2Device(gateway=gateway)
        self._device.errcheck = False

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Drop the connection after any error but a clean refusal."""
        try:
            yield
        except DeviceRejected:
            raise
        except DeviceError:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
        self._gateway = self._device = None


def _code(answer: str) -> int:
    if not CODE.fullmatch(answer.strip()):
        raise ValueError(f"no error code: {quoted(answer)}")
    return int(answer)


def _words(code: int) -> str:
    """PI's words for an error code, without the number that pipython adds."""
    return str(GCSError.translate_error(code)).removesuffix(str(code)).strip() or "unknown to pipython"
