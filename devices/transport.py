"""A line out, a line back, over any pyserial URL: `socket://host:port`, `/dev/ttyUSB0`, `COM3`, a pty.

After a timeout or a line that makes no sense, the answer to the last query may still be on its way. The line is then
*stale*: before the next exchange a `Handshake` is asked, and everything before its own unmistakable answer is thrown
away. A device answers in order, so nothing late can be taken for a later answer. Opening is the same thing.
"""

import re
import threading
import time
from dataclasses import dataclass

import serial

from devices.answers import quoted
from devices.errors import DeviceLost, DeviceTimeout, ProtocolError

LONGEST_ANSWER_BYTES = 4096
QUIET_S = 0.02  # silence after a handshake: a second late handshake answer follows the first within this time


@dataclass(frozen=True)
class Handshake:
    """A query, and a pattern that its answer matches and no other answer of the device does."""

    query: str
    answer: str


class LineTransport:
    """One line-oriented connection, opened when first needed and again after a loss; one exchange at a time."""

    def __init__(
        self,
        name: str,
        url: str,
        handshake: Handshake,
        *,
        send_end: bytes,
        receive_end: bytes,
        answer_s: float,
        baudrate: int = 9600,
        rtscts: bool = False,
    ) -> None:
        self.name = name
        self._url = url
        self._handshake = handshake
        self._send_end = send_end
        self._receive_end = receive_end
        self._answer_s = answer_s
        self._port_settings = {"baudrate": baudrate, "rtscts": rtscts, "timeout": answer_s, "write_timeout": answer_s}
        self._lock = threading.RLock()
        self._port: serial.SerialBase | None = None
        self._stale = True
        self._closed = False

    def tell(self, line: str) -> None:
        """Send a line that has no answer.

        Raises:
            DeviceLost: the connection is gone and could not be opened again.
            DeviceTimeout: the line was not taken, or the handshake of a stale line got no answer.
        """
        with self._lock:
            self._send(self._ready(), line)

    def ask(self, line: str) -> str:
        """Send a line and return the line that answers it, without its end.

        Raises:
            DeviceLost, DeviceTimeout: as `tell`; also when no whole line came in time.
            ProtocolError: the answer is not ASCII.
        """
        with self._lock:
            port = self._ready()
            self._stale = True  # until its answer is here
            self._send(port, line)
            answer = self._receive(port, line)
            self._stale = False
            return answer

    def doubt(self) -> None:
        """Mark the line stale: the caller could not make sense of the last answer."""
        self._stale = True

    def close(self) -> None:
        """Close the connection for good; may be called twice."""
        self._closed = True
        with self._lock:
            self._drop()

    def _ready(self) -> serial.SerialBase:
        if self._closed:
            raise DeviceLost(self.name, "is closed")
        try:
            if self._port is None:
                self._port = serial.serial_for_url(self._url, **self._port_settings)
                self._stale = True
            if self._port.in_waiting or self._stale:  # asking an unplugged port comes first: it raises cleanly
                self._shake_hands(self._port)
        except (serial.SerialException, OSError, ValueError) as error:
            self._drop()
            raise DeviceLost(self.name, f"{self._url}: {error}") from error
        except DeviceTimeout:
            self._drop()
            raise
        return self._port

    def _shake_hands(self, port: serial.SerialBase) -> None:
        """Throw away all that comes before the answer to the handshake."""
        query, deadline = self._handshake.query, time.monotonic() + self._answer_s
        self._stale = True
        port.reset_input_buffer()
        self._send(port, query)
        while not re.search(self._handshake.answer, self._receive_bytes(port, query).decode("ascii", "replace")):
            if time.monotonic() > deadline:
                raise DeviceTimeout(self.name, f"no proper answer to {query} within {self._answer_s} s")
        self._drain(port)
        self._stale = False

    def _drain(self, port: serial.SerialBase) -> None:
        time.sleep(QUIET_S)
        if port.in_waiting:
            port.reset_input_buffer()

    def _send(self, port: serial.SerialBase, line: str) -> None:
        try:
            port.write(line.encode("ascii") + self._send_end)
        except serial.SerialTimeoutException as error:
            self._drop()
            raise DeviceTimeout(self.name, f"{line} was not taken within {self._answer_s} s") from error
        except (serial.SerialException, OSError) as error:
            self._drop()
            raise DeviceLost(self.name, f"{self._url}: {error}") from error

    def _receive(self, port: serial.SerialBase, line: str) -> str:
        raw = self._receive_bytes(port, line)
        try:
            return raw.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise ProtocolError(self.name, f"{line} answered {quoted(raw)}") from error

    def _receive_bytes(self, port: serial.SerialBase, line: str) -> bytes:
        try:
            raw: bytes = port.read_until(self._receive_end, LONGEST_ANSWER_BYTES)
        except (serial.SerialException, OSError) as error:
            self._drop()
            raise DeviceLost(self.name, f"{self._url}: {error}") from error
        if not raw.endswith(self._receive_end):
            got = f"only {quoted(raw)}" if raw else "nothing"
            raise DeviceTimeout(self.name, f"{line} answered {got} within {self._answer_s} s")
        return raw

    def _drop(self) -> None:
        """Close the port; pyserial's `socket://` leaks its socket when the peer has closed first."""
        if self._port is not None:
            leaked = getattr(self._port, "_socket", None)
            self._port.close()
            if leaked is not None:
                leaked.close()
        self._port = None
