"""The camera device's end of the wire to the twin."""

import json
import math
import socket
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sim.frame_protocol import TRAILER, Message, Stop

Frame = NDArray[np.uint16]

LONGEST_HEADER = 65_536
CHUNK = 4096
STOP_WITHIN_S = 0.5
"""After a stop was sent the rest comes at once, or not at all: a message of which a half was lost never ends."""
LOOK_AGAIN_S = 0.05
"""How long a thread that waits for bytes may not notice a stop."""


class FrameClient:
    """One connection; after anything unexpected it hangs up, and the next request makes a new one.

    One thread sends requests and receives messages; any thread may call `stop`.
    """

    def __init__(self) -> None:
        self._connection: socket.socket | None = None
        self._pending = bytearray()
        self._lock = threading.Lock()  # of the two that follow
        self._expects_more = False
        self._stop_sent = False
        self._give_up_s = math.inf  # when a stop that was sent has to have had its effect

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._expects_more = self._stop_sent = False
            self._give_up_s = math.inf
        self._pending.clear()
        if connection is not None:
            connection.close()

    def request(self, address: str, request: Message, within_s: float) -> None:
        """Send a request, after connecting to host:port if need be.

        Raises:
            ConnectionError: nobody there.
        """
        try:
            if self._connection is None:
                host, _, port = address.rpartition(":")
                connection = socket.create_connection((host, int(port)), timeout=within_s)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection = connection
            with self._lock:
                self._expects_more = True
                self._send(request)
        except (OSError, ValueError) as error:
            raise self._lost(within_s, error) from error

    def receive(self, frame: Frame | None, within_s: float) -> dict[str, Any]:
        """Receive one message and return its header; pixels fill `frame` (rows, columns), or are dropped.

        Raises:
            ConnectionError: silence, or no message of the twin, or pixels that do not fit.
            RuntimeError: the twin says that it cannot.
            BufferError: frames are lost, for the camera's buffer ran over.
        """
        deadline_s = time.monotonic() + within_s
        try:
            header = self._header(deadline_s)
            room = bytearray(header["nbytes"]) if frame is None else frame.data.cast("B")
            if header["nbytes"] not in (0, len(room)):
                raise ValueError(f"{header['nbytes']} bytes of pixels, not {len(room)}")
            self._fill(memoryview(room)[: header["nbytes"]], deadline_s)
            trailer = bytearray(len(TRAILER))
            self._fill(memoryview(trailer), deadline_s)
            if trailer != TRAILER:
                raise ValueError("the message is not whole")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._lost(within_s, error) from error
        with self._lock:
            self._expects_more = bool(header.get("more"))
            if header.get("stopped"):
                self._stop_sent, self._give_up_s = False, math.inf
        if "error" in header:
            raise (BufferError if header.get("overrun") else RuntimeError)(header["error"])
        return header

    def stop(self) -> None:
        """Ask the twin to end the sequence, from any thread; nothing happens where there is none.

        Raises:
            OSError: the twin is gone.
        """
        with self._lock:
            if self._expects_more and not self._stop_sent:
                self._stop_sent, self._give_up_s = True, time.monotonic() + STOP_WITHIN_S
                self._send(Stop())

    def finish(self) -> None:
        """End the sequence unless it has ended, and drop what is still under way of it; hang up if that fails."""
        try:
            self.stop()
            while self._stop_sent:
                self.receive(None, STOP_WITHIN_S)
        except (OSError, RuntimeError, BufferError):
            self.hang_up()

    def _send(self, request: Message) -> None:
        if self._connection is not None:
            self._connection.sendall(request.model_dump_json().encode() + b"\n")

    def _lost(self, within_s: float, error: Exception) -> ConnectionError:
        self.hang_up()  # what comes late must not be taken for the answer to the next request
        return ConnectionError(f"no answer from the twin (it has {within_s:.3g} s): {error}")

    def _header(self, deadline_s: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            if len(self._pending) > LONGEST_HEADER:
                raise ValueError("a line without an end")
            chunk = bytearray(CHUNK)
            self._pending += chunk[: self._receive_into(memoryview(chunk), deadline_s)]
        line, _, rest = self._pending.partition(b"\n")
        self._pending = rest
        header: dict[str, Any] = json.loads(line)
        return header

    def _fill(self, room: memoryview, deadline_s: float) -> None:
        """Fill all of it, first with what has come together with the header."""
        filled = min(len(room), len(self._pending))
        room[:filled] = self._pending[:filled]
        del self._pending[:filled]
        while filled < len(room):
            filled += self._receive_into(room[filled:], deadline_s)

    def _receive_into(self, room: memoryview, deadline_s: float) -> int:
        while True:
            left_s = min(deadline_s, self._give_up_s) - time.monotonic()
            if self._connection is None or left_s <= 0:
                raise TimeoutError("the deadline has passed")
            self._connection.settimeout(min(left_s, LOOK_AGAIN_S))
            try:
                received = self._connection.recv_into(room)
            except TimeoutError:
                continue
            if not received:
                raise ConnectionError("the connection was closed")
            return received
