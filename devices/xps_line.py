"""One connection to a Newport XPS: `Function(arguments)` out, `code,values,EndOfAPI` back, no line ends (TCP).

A call of a motion answers when the motion ends, and nothing else goes over its connection until then. So such a call is
begun, and its reply fetched later. A reply that did not come in time dies with the connection.
"""

import re
import socket
import threading
import time
from dataclasses import dataclass

from devices.answers import quoted
from devices.errors import DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError

END = b",EndOfAPI"
CODE = re.compile(r"-?\d{1,5}", re.ASCII)
RECEIVE_BYTES = 1024
LONGEST_REPLY_BYTES = 65536
CONNECT_S = 2.0
PROMPT_S = 0.01  # a call that takes longer than this is stuck; a stop then goes around it


@dataclass(frozen=True)
class Reply:
    """Error code, 0 for none, and the values that were asked for."""

    code: int
    values: tuple[str, ...]


class XpsLine:
    """One logged-in connection, opened when first needed and again after a loss; one call at a time."""

    def __init__(self, name: str, address: tuple[str, int], login: str, answer_s: float) -> None:
        self.name = name
        self._address = address
        self._login = login
        self._answer_s = answer_s
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._received = b""
        self._begun = ""
        self._closed = False

    def call(self, function: str) -> Reply:
        """Call a function that answers at once.

        Raises:
            DeviceTimeout, DeviceLost: no whole reply in time, or no connection.
            ProtocolError: a reply that makes no sense.
            DeviceRejected: the login was refused.
        """
        with self._lock:
            self.begin(function)
            return self.wait(self._answer_s)

    def begin(self, function: str) -> None:
        """Call a function and leave its reply to `fetch`; raises what `call` raises, but for its reply."""
        with self._lock:
            self._make_ready()
            self._send(function)

    def fetch(self) -> Reply | None:
        """Return the reply to the call that was begun last, None while there is none.

        Raises:
            DeviceLost: the connection broke; that reply will never come.
            ProtocolError: a reply that makes no sense.
        """
        with self._lock:
            self._receive(0.0)
            return self._whole_reply()

    def wait(self, within_s: float) -> Reply:
        """Wait for the reply to the call that was begun last; raises what `call` raises."""
        with self._lock:
            deadline = time.monotonic() + within_s
            while (reply := self.fetch()) is None:
                if not self._receive(deadline - time.monotonic()):
                    function = self._begun
                    self.drop()
                    raise DeviceTimeout(self.name, f"no answer to {function} within {within_s} s")
            return reply

    def is_busy(self) -> bool:
        """Tell whether the reply to a call has not been fetched yet."""
        return bool(self._begun)

    def is_stuck(self) -> bool:
        """Tell whether a call by another thread has been waiting for its reply for a while."""
        if self._lock.acquire(timeout=PROMPT_S):
            self._lock.release()
            return False
        return True

    def drop(self) -> None:
        """Close the connection, and with it the call under way; the next call opens another."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._received, self._begun = None, b"", ""

    def close(self) -> None:
        """Close for good; may be called twice."""
        self._closed = True
        self.drop()

    def _make_ready(self) -> None:
        """Open a connection unless there is a clean one: no reply that nobody fetched may meet the next call."""
        if self._closed:
            raise DeviceLost(self.name, "is closed")
        if self._begun or (self._socket is not None and self._has_something_to_say()):
            self.drop()
        if self._socket is None:
            self._socket = self._open()
            self._send(self._login)
            if code := self.wait(self._answer_s).code:
                self.drop()
                raise DeviceRejected(self.name, f"Login: error {code}", code)

    def _has_something_to_say(self) -> bool:
        try:
            return self._receive(0.0)
        except (DeviceLost, ProtocolError):
            return True

    def _open(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._address, timeout=CONNECT_S)
        except OSError as error:
            raise DeviceLost(self.name, f"no connection to {self._where}: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _send(self, function: str) -> None:
        assert self._socket is not None
        self._begun = function
        try:
            self._socket.settimeout(self._answer_s)
            self._socket.sendall(function.encode("ascii"))
        except OSError as error:
            self.drop()
            raise DeviceLost(self.name, f"connection to {self._where} broke: {error}") from error

    def _receive(self, wait_s: float) -> bool:
        """Take what has come, after waiting for it; False if nothing has."""
        if self._socket is None:
            raise DeviceLost(self.name, f"the connection to {self._where} is gone, and a reply with it")
        try:
            self._socket.settimeout(max(wait_s, 0.0))
            piece = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            self.drop()
            raise DeviceLost(self.name, f"connection to {self._where} broke: {error}") from error
        if not piece:
            self.drop()
            raise DeviceLost(self.name, f"{self._where} closed the connection")
        self._received += piece
        if len(self._received) > LONGEST_REPLY_BYTES:
            self.drop()
            raise ProtocolError(self.name, f"a reply of more than {LONGEST_REPLY_BYTES} bytes")
        return True

    def _whole_reply(self) -> Reply | None:
        """Read what was received, once it is a whole reply."""
        raw, end, rest = self._received.partition(END)
        if not end:
            return None
        function, self._begun, self._received = self._begun, "", b""
        code, *values = raw.decode("latin-1").split(",")
        if rest or not CODE.fullmatch(code):
            self.drop()
            raise ProtocolError(self.name, f"{function} answered {quoted(raw + end + rest)}")
        return Reply(int(code), tuple(values))

    @property
    def _where(self) -> str:
        host, port = self._address
        return f"{host}:{port}"
