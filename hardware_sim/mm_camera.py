"""The twin's camera for pymmcore-plus: a Python device that fetches its frames from the twin.

This module is loaded into the process that acquires, by the `camera.cfg` that the twin writes; so it imports nothing
of the world.
"""

import json
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymmcore_plus.experimental.unicore import SimpleCameraDevice

from hardware_sim.frame_protocol import LONGEST_EXPOSURE_S, PIXEL_TYPE, SHORTEST_EXPOSURE_S

ANSWER_WITHIN_S = 5.0
"""What the twin may take beyond the exposure itself."""
MS_PER_S = 1000.0


class TwinCamera(SimpleCameraDevice):
    """pco.edge 5.5 of the twin.

    Set the property `Address` to host:port before initialising. `ExposureNumber` is the world's number of the latest
    frame, for those who snap and so get no metadata; frames of a sequence carry it as `exposure_number`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exposure_s = 0.02
        self._exposure_number = 0
        self._shape_px = (512, 512)
        self._speed = 1.0
        self._connection: socket.socket | None = None
        self.register_property("Address", default_value="", is_pre_init=True)
        self.register_property(
            "ExposureNumber", property_type=int, getter=type(self).get_exposure_number, is_read_only=True
        )

    def initialize(self) -> None:
        """Connect to the twin.

        Raises:
            ConnectionError: nobody there, or no twin.
        """
        description, _ = self._ask({"ask": "describe"}, within_s=ANSWER_WITHIN_S)
        rows, columns = description["shape_px"]
        self._shape_px = (int(rows), int(columns))
        self._speed = float(description["speed"])

    def shutdown(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get_camera_name(self) -> str:
        """Name the model."""
        return "pco.edge 5.5 (twin)"

    def get_exposure_number(self) -> int:
        """Number of the latest exposure, 0 before the first."""
        return self._exposure_number

    def get_exposure(self) -> float:
        """Exposure time, ms."""
        return self._exposure_s * MS_PER_S

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure time, ms.

        Raises:
            ValueError: outside what the sensor can do; nothing was changed.
        """
        exposure_s = float(exposure) / MS_PER_S
        if not SHORTEST_EXPOSURE_S <= exposure_s <= LONGEST_EXPOSURE_S:
            low_ms, high_ms = SHORTEST_EXPOSURE_S * MS_PER_S, LONGEST_EXPOSURE_S * MS_PER_S
            raise ValueError(f"exposure: {exposure} ms is outside {low_ms}..{high_ms} ms")
        self._exposure_s = exposure_s

    def sensor_shape(self) -> tuple[int, int]:
        """Rows, columns of the full frame."""
        return self._shape_px

    def dtype(self) -> np.dtype[np.uint16]:
        """Pixels are 16 bit."""
        return np.dtype(np.uint16)

    def snap(self, buffer: NDArray[np.uint16]) -> Mapping[str, Any]:
        """Expose, and fill `buffer` (rows, columns).

        Raises:
            ConnectionError: the twin is gone, or was silent for longer than the exposure allows. The next exposure
                tries a new connection.
        """
        within_s = self._exposure_s / self._speed + ANSWER_WITHIN_S
        header, pixels = self._ask({"ask": "expose", "exposure_s": self._exposure_s}, within_s)
        buffer[:] = np.frombuffer(pixels, dtype=PIXEL_TYPE).reshape(self._shape_px)
        self._exposure_number = int(header["exposure_number"])
        return {"exposure_number": self._exposure_number}

    def _ask(self, request: Mapping[str, Any], within_s: float) -> tuple[dict[str, Any], bytes]:
        deadline_s = time.monotonic() + within_s
        try:
            if self._connection is None:
                host, _, port = str(self.get_property_value("Address")).rpartition(":")
                self._connection = socket.create_connection((host, int(port)), timeout=within_s)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.settimeout(within_s)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            header, pixels = _receive(self._connection, deadline_s)
        except (OSError, ValueError, KeyError) as error:
            self.shutdown()  # what comes late must not be taken for the answer to the next question
            raise ConnectionError(f"no answer from the twin (it has {within_s:.3g} s): {error}") from error
        if "error" in header:
            raise ValueError(header["error"])
        return header, pixels


def _receive(connection: socket.socket, deadline_s: float) -> tuple[dict[str, Any], bytes]:
    """Read one answer: a line of JSON, and as many bytes as it announces."""
    received = bytearray()
    while b"\n" not in received:
        received += _some(connection, deadline_s)
    line, _, start = bytes(received).partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    pixels = bytearray(start)
    while len(pixels) < header["nbytes"]:
        pixels += _some(connection, deadline_s)
    return header, bytes(pixels)


def _some(connection: socket.socket, deadline_s: float) -> bytes:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    connection.settimeout(left_s)
    chunk = connection.recv(1 << 20)
    if not chunk:
        raise ConnectionError("the connection was closed")
    return chunk
