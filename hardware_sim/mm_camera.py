"""The twin's camera for pymmcore-plus: a Python device that fetches its frames from the twin.

This module is loaded into the process that acquires, by the `camera.cfg` that the twin writes; so it imports nothing
of the world. Its properties are called as those of Micro-Manager's adapter PCO_Generic.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import CameraDevice

from hardware_sim.frame_client import FrameClient
from hardware_sim.frame_protocol import (
    BINNINGS,
    LONGEST_EXPOSURE_S,
    PIXEL_TYPE,
    SHORTEST_EXPOSURE_S,
    Binning,
    Describe,
    Expose,
    Setup,
)

ANSWER_WITHIN_S = 5.0
"""What the twin may take beyond the exposure itself."""
TRIGGER_WITHIN_S = 60.0
"""How long a trigger may be in coming."""
MS_PER_S = 1000.0
TRIGGER_MODES = ("Internal", "Software", "External")
METADATA = ("exposure_number", "start_s", "timestamp_us", "missed_triggers", "buffer_overrun")


class TwinCamera(CameraDevice):
    """pco.edge 5.5 of the twin.

    Set the property `Address` to host:port before initialising. `ExposureNumber` is the world's number of the latest
    frame, for those who snap and so get no metadata; frames of a sequence carry it as `exposure_number`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exposure_s = 0.02
        self._exposure_number = 0
        self._shape_px = (512, 512)
        self._region: tuple[int, int, int, int] | None = None
        self._binning: Binning = 1
        self._speed = 1.0
        self._line_time_us: Mapping[str, float] = {"fast scan": 9.17}
        self._symmetric = False
        self._stopped = False
        self._client = FrameClient()
        camera = type(self)
        self.register_property("Address", default_value="", is_pre_init=True)
        self.register_property(
            "ExposureNumber", property_type=int, getter=camera.get_exposure_number, is_read_only=True
        )
        self.register_property("Triggermode", default_value="Internal", allowed_values=TRIGGER_MODES)
        self.register_property("Acquiremode", default_value="Internal", allowed_values=("Internal",))
        self.register_property("PixelRate", default_value="fast scan", allowed_values=("fast scan", "slow scan"))
        self.register_property("Line Time [us]", property_type=float, getter=camera.get_line_time_us, is_read_only=True)
        self.register_property("Fps Mode", default_value="Off", allowed_values=("Off",))
        self.register_property("Timestamp", default_value="Off", allowed_values=("Off",))
        self.register_property("Noisefilter", default_value="Off", allowed_values=("Off",))
        self.set_property_allowed_values("Binning", [str(binning) for binning in BINNINGS])

    def initialize(self) -> None:
        """Connect to the twin.

        Raises:
            ConnectionError: nobody there, or no twin.
        """
        self._client.request(self._address(), Describe(), ANSWER_WITHIN_S)
        description = self._client.receive(None, ANSWER_WITHIN_S)
        rows, columns = description["shape_px"]
        self._shape_px = (int(rows), int(columns))
        self._speed = float(description["speed"])
        self._line_time_us = description["line_time_us"]
        self._symmetric = bool(description["symmetric_region"])

    def shutdown(self) -> None:
        """Hang up."""
        self._client.hang_up()

    def get_camera_name(self) -> str:
        """Name the model."""
        return "pco.edge 5.5 (twin)"

    def get_exposure_number(self) -> int:
        """Number of the latest exposure, 0 before the first."""
        return self._exposure_number

    def get_line_time_us(self) -> float:
        """Time from one line to the next, us."""
        return self._line_time_us[self.get_property_value("PixelRate")]

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

    def get_binning(self) -> int:
        """So many columns and rows make one pixel."""
        return self._binning

    def set_binning(self, value: int) -> None:
        """Set the binning; the region goes back to the whole frame.

        Raises:
            ValueError: neither 1 nor 2 nor 4.
        """
        chosen = [binning for binning in BINNINGS if binning == int(value)]
        if not chosen:
            raise ValueError(f"binning: {value} is not one of {', '.join(map(str, BINNINGS))}")
        self._binning, self._region = chosen[0], None

    def shape(self) -> tuple[int, int]:
        """Rows, columns of the frames to come."""
        _, _, columns, rows = self.get_roi()
        return rows, columns

    def dtype(self) -> np.dtype[np.uint16]:
        """Pixels are 16 bit."""
        return np.dtype(PIXEL_TYPE)

    def get_roi(self) -> tuple[int, int, int, int]:
        """Region as (x, y, width, height), in binned pixels."""
        rows, columns = self._shape_px
        x, y, width, height = self._region or (0, 0, columns, rows)
        return x // self._binning, y // self._binning, width // self._binning, height // self._binning

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """Choose a region, in binned pixels.

        Raises:
            ValueError: it does not lie on the sensor, or not symmetrically where it has to; nothing was changed.
        """
        left, top, columns, rows = (int(value) * self._binning for value in (x, y, width, height))
        all_rows, all_columns = self._shape_px
        if not (0 <= left < left + columns <= all_columns and 0 <= top < top + rows <= all_rows):
            raise ValueError(f"ROI ({x}, {y}, {width}, {height}) does not lie on the sensor ({all_columns}x{all_rows})")
        if self._symmetric and 2 * top + rows != all_rows:
            raise ValueError(f"ROI ({x}, {y}, {width}, {height}) does not lie symmetrically about the middle line")
        self._region = (left, top, columns, rows)

    def clear_roi(self) -> None:
        """Go back to the whole frame."""
        self._region = None

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Generator[Mapping[str, Any]]:
        """Take frames and yield what is known of each; ends when closed, or by `stop_sequence`.

        With `Triggermode` External no trigger is overlooked once the first buffer was asked for. `exposure_number`
        skips where frames were lost; after `buffer_overrun` several were.

        Raises:
            ConnectionError: the twin is gone, or silent for too long. The next exposure tries a new connection.
            RuntimeError: the twin refuses, or the sequence was ended by somebody else.
            BufferError: the sequence has ended with frames lost, for the camera's buffer ran over.
        """
        setup = self._setup()
        triggered = setup.trigger == "external"
        within_s = ANSWER_WITHIN_S + self._frame_s() / self._speed
        self._stopped = False
        self._client.request(self._address(), Expose(frames=n, setup=setup), within_s)
        try:
            if triggered:
                self._client.receive(None, within_s)
            while True:
                frame = get_buffer(self.shape(), self.dtype())
                header = self._client.receive(frame, within_s + TRIGGER_WITHIN_S * triggered)
                if not header["nbytes"]:
                    if self._stopped:
                        return
                    raise RuntimeError("somebody else has stopped the sequence")
                self._exposure_number = int(header["exposure_number"])
                yield {key: header[key] for key in METADATA}
                if not header["more"]:
                    return
        finally:
            self._client.finish()

    def stop_sequence(self) -> None:
        """End the sequence that another thread takes; it gets no further frame.

        Raises:
            OSError: the twin is gone.
        """
        self._stopped = True
        self._client.stop()

    def _setup(self) -> Setup:
        return Setup(
            exposure_s=self._exposure_s,
            region=self._region,
            binning=self._binning,
            trigger="external" if self.get_property_value("Triggermode") == "External" else "internal",
            pixel_rate=self.get_property_value("PixelRate"),
        )

    def _frame_s(self) -> float:
        """World time from the beginning of an exposure to its last line, or more."""
        return self._exposure_s + self._shape_px[0] * max(self._line_time_us.values()) / 1e6

    def _address(self) -> str:
        return str(self.get_property_value("Address"))
