"""One connection to the camera, on which messages with and without frames are sent."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from hardware_sim.faults import Faults
from hardware_sim.frame_protocol import PIXEL_TYPE, TRAILER
from hardware_sim.sensor import Frame
from hardware_sim.wire import Wire


class FrameWire:
    """Receives requests in one thread while frames may be sent in another."""

    def __init__(self, connection: socket.socket, faults: Faults) -> None:
        self._wire = Wire(_Line(connection), "camera", faults)
        self._sending = threading.Lock()

    def requests(self) -> Iterator[str]:
        """Yield each line until the other side ends."""
        return self._wire.lines(b"\n")

    def begin(self) -> str:
        """Begin an operation; returns the name of the fault that the camera itself has to act out, or nothing."""
        fault = self._wire.begin()
        return "" if fault is None else fault.name

    def send(self, header: dict[str, Any], frame: Frame | None = None) -> None:
        """Send one message."""
        pixels = b"" if frame is None else np.ascontiguousarray(frame, PIXEL_TYPE).data.cast("B")
        line = json.dumps({**header, "nbytes": len(pixels)}).encode() + b"\n"
        with self._sending:
            self._wire.send(b"".join((line, pixels, TRAILER)))


class _Line:
    """A socket that can be closed while another thread reads from it: the other side notices at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.recv = connection.recv
        self.sendall = connection.sendall

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
