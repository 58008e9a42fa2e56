"""Socket under pipython that waits without spinning.

pipython's own `PISocket` polls a non-blocking socket (about 0.7 of a core), takes a closed peer for silence, and its
`flush` never returns once the peer has closed. `GCSMessages` calls `send`, then `read` until the answer is complete.
"""

import selectors
import socket
import time
from contextlib import suppress

from pipython import WARNING, GCSError, PILogger, gcserror
from pipython.pidevice.interfaces.pigateway import PI_CONTROLLER_CODEPAGE, PIGateway

from devices.answers import quoted
from devices.errors import DeviceLost, ProtocolError

RECEIVE_BYTES = 4096
LONGEST_ANSWER_BYTES = 2**20  # HPA? and HLP? have some ten thousand

PILogger.setLevel(WARNING)  # its own handler prints every exchange once a library lowers the root logger's level


def shown(text: str) -> str:
    """Spell a command for a message: a control character by its number, as the manual does, and without line ends."""
    control = f"#{ord(text[0])} {text[1:]}" if text[0] < " " else text
    return " ".join(control.split())


class GcsGateway(PIGateway):  # type: ignore[misc]  # pipython has no types
    """One TCP connection to a GCS controller; an answer has one deadline, however many pieces it comes in."""

    def __init__(self, name: str, host: str, port: int, *, connect_s: float = 2.0, answer_s: float = 0.5) -> None:
        """Connect; nothing is sent.

        Raises:
            DeviceLost: not connected within `connect_s`.
        """
        self.name = name
        self._address = f"{host}:{port}"
        self._answer_s = answer_s
        self._deadline = time.monotonic() + answer_s
        self._received = 0
        try:
            self._socket = socket.create_connection((host, port), timeout=connect_s)
        except OSError as error:
            raise DeviceLost(name, f"no connection to {self._address}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)  # waiting is the selector's; a send from another thread then disturbs no read
        self._readable = selectors.DefaultSelector()
        self._readable.register(self._socket, selectors.EVENT_READ)
        self._connected = True

    def __enter__(self) -> "GcsGateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"GcsGateway({self._address})"

    @property
    def timeout(self) -> int:
        """Time for one answer, in milliseconds as pipython wants it."""
        return round(self._answer_s * 1000)

    def settimeout(self, value: float) -> None:
        """Set the time for one answer, in milliseconds."""
        self._answer_s = value / 1000

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def connectionid(self) -> int:
        return 0

    def send(self, msg: str) -> None:
        """Send one message and start the deadline of its answer.

        Raises:
            ProtocolError: something unasked lies there to be read, so the next answer would be another's.
            DeviceLost: the peer has closed.
        """
        if unasked := self._waiting():
            raise ProtocolError(self.name, f"{quoted(unasked)} came unasked, before {shown(msg)} was sent")
        self._deadline = time.monotonic() + self._answer_s
        self._received = 0
        self._send(msg)

    def send_at_once(self, control: str) -> None:
        """Send a control character past whatever exchange is under way; it has no answer.

        One byte, so it cannot split another thread's line; the controller takes it at any moment (GCS 2.0, #24).
        """
        self._send(control)

    def read(self) -> str:
        """Wait for the next piece of an answer.

        Raises:
            GCSError: -7, the deadline of the answer has passed, whether or not something still comes.
            ProtocolError: more came than any answer has.
            DeviceLost: the peer has closed; told at once.
        """
        while True:
            remaining_s = self._deadline - time.monotonic()
            if remaining_s <= 0:
                raise GCSError(gcserror.E_7_COM_TIMEOUT)
            self._readable.select(remaining_s)
            if piece := self._waiting():
                self._received += len(piece)
                if self._received > LONGEST_ANSWER_BYTES:
                    raise ProtocolError(self.name, f"an answer of more than {LONGEST_ANSWER_BYTES} bytes")
                return piece.decode("latin-1")  # each byte a character: none may vanish from the middle of a number

    def flush(self) -> None:
        """Throw away what has arrived; a peer that does not stop is left to `send`, which refuses unasked data."""
        for _ in range(LONGEST_ANSWER_BYTES // RECEIVE_BYTES):
            if not self._waiting():
                return

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._connected = False
        with suppress(OSError):  # the peer was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._readable.close()
        self._socket.close()

    def unload(self) -> None:
        """What pipython calls at the end."""
        self.close()

    def _waiting(self) -> bytes:
        """What lies there to be read; empty if nothing does, DeviceLost if the peer has closed."""
        try:
            piece = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceLost(self.name, f"connection to {self._address} broke: {error}") from error
        if not piece:
            raise DeviceLost(self.name, f"{self._address} closed the connection")
        return piece

    def _send(self, text: str) -> None:
        try:
            self._socket.sendall(text.encode(PI_CONTROLLER_CODEPAGE))
        except OSError as error:
            raise DeviceLost(self.name, f"connection to {self._address} broke: {error}") from error
