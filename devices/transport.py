"""A line out, a line back, over any pyserial URL: `socket://host:port`, `/dev/ttyUSB0`, `COM3`, a pty.

After a timeout or a line that makes no sense, the answer to the last query may still be on its way. The line is then
*stale*: before the next exchange a `Handshake` is asked, and everything before its own unmistakable answer is thrown
away, the late answers to earlier handshakes included. A device answers in order, so nothing late can be taken for a
later answer. Opening is the same thing.
"""

import os
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import serial

from devices.answers import quoted
from devices.errors import DeviceLost, DeviceTimeout, ProtocolError

LONGEST_ANSWER_BYTES = 4096
PROMPT_S = 0.01  # an exchange that takes longer than this is stuck; `tell_past` then goes around it
QUIET_S = 0.02  # silence after a handshake: a second late handshake answer follows the first within this time
LOST = (serial.SerialException, OSError, TypeError)  # TypeError: pyserial's, when another thread closes the port


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
        self._write_lock = threading.Lock()  # a line goes out whole
        self._port: serial.SerialBase | None = None
        self._stale = True
        self._owed = 0  # handshakes that were not answered, or not yet
        self._closed = False

    def tell(self, line: str) -> None:
        """Send a line that has no answer.

        Raises:
            DeviceLost: the connection is gone and could not be opened again.
            DeviceTimeout: the line was not taken, or the handshake of a stale line got no answer.
        """
        with self._lock:
            self._send(self._ready(), line)

    def tell_past(self, line: str) -> None:
        """Send a line past the exchange under way, if there is a connection; nobody learns whether it was taken.

        Over a network, where one stuck connection need not be the only one, it goes out on a second one, too.
        """
        if (port := self._port) is not None:
            self._try_to_write(port, line)
        if self._lock.acquire(timeout=PROMPT_S):
            self._lock.release()
        elif self._url.startswith("socket://"):
            with suppress(*LOST):
                beside = self._open()
                self._try_to_write(beside, line)
                _close(beside)

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
                self._port = self._open()
                self._stale = True
            if self._port.in_waiting or self._stale:  # asking an unplugged port comes first: it raises cleanly
                self._shake_hands(self._port)
        except (serial.SerialException, OSError, ValueError) as error:
            self._drop()
            raise self._lost(error) from error
        except DeviceTimeout:
            self._drop()
            raise
        return self._port

    def _open(self) -> serial.SerialBase:
        port = serial.serial_for_url(self._url, **self._port_settings)
        if (connection := getattr(port, "_socket", None)) is not None:  # pyserial leaves Nagle's 40 ms delays on
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return port

    def _shake_hands(self, port: serial.SerialBase) -> None:
        """Throw away all that comes before the answer to this handshake; the answers to earlier ones come first.

        An earlier one may have been lost on the way: then nothing more comes for a whole answer time.
        """
        query, deadline = self._handshake.query, time.monotonic() + 2 * self._answer_s
        self._stale = True
        self._send(port, query)
        self._owed += 1
        heard = 0
        while heard < self._owed:
            try:
                line = self._receive_bytes(port, query).decode("ascii", "replace")
            except DeviceTimeout:
                if heard == 0:
                    raise
                break
            heard += bool(re.search(self._handshake.answer, line))
            if time.monotonic() > deadline:
                self._owed -= heard
                raise DeviceTimeout(self.name, f"no proper answer to {query} within {2 * self._answer_s} s")
        self._owed = 0
        self._drain(port)
        self._stale = False

    def _drain(self, port: serial.SerialBase) -> None:
        time.sleep(QUIET_S)
        if port.in_waiting:
            port.reset_input_buffer()

    def _send(self, port: serial.SerialBase, line: str) -> None:
        try:
            self._write(port, line)
        except serial.SerialTimeoutException as error:
            self._drop()
            raise DeviceTimeout(self.name, f"{line} was not taken within {self._answer_s} s") from error
        except (serial.SerialException, OSError) as error:
            self._drop()
            raise self._lost(error) from error

    def _write(self, port: serial.SerialBase, line: str) -> None:
        with self._write_lock:
            port.write(line.encode("ascii") + self._send_end)

    def _try_to_write(self, port: serial.SerialBase, line: str) -> None:
        with suppress(*LOST):
            self._write(port, line)

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
            raise self._lost(error) from error
        if not raw.endswith(self._receive_end):
            got = f"only {quoted(raw)}" if raw else "nothing"
            raise DeviceTimeout(self.name, f"{line} answered {got} within {self._answer_s} s")
        return raw

    def _lost(self, error: Exception) -> DeviceLost:
        """Make the error of a broken line, without the address that pyserial repeats."""
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error).removeprefix(f"Could not open port {self._url}: ")
        return DeviceLost(self.name, f"{self._url}: {why}")

    def _drop(self) -> None:
        if self._port is not None:
            _close(self._port)
        self._port = None


def _close(port: serial.SerialBase) -> None:
    """Close a port; pyserial's own way with a socket sleeps 0.3 s, and leaks it when the peer has closed first."""
    if (connection := getattr(port, "_socket", None)) is None:
        port.close()
    else:
        connection.close()
        port.is_open = False
