"""One frame, with its metadata, out of a Micro-Manager core: from a C++ adapter, or from a Python device.

Neither goes by `snapImage`, which has no metadata and so no exposure number. The sequence of a Python device is run
here, not by UniMMCore: there its errors end in a thread of their own, as a traceback on stderr, and the late frame of
an exposure that was given up would be handed to the next one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import CameraDevice, Device, UniMMCore

from devices.errors import DeviceTimeout, ProtocolError, Stopped

POLL_S = 0.0005

Image = tuple[NDArray[Any], Mapping[str, Any]]


class Exposure(Protocol):
    """Take one frame; `wanted` turns false when nobody waits for it any more."""

    def __call__(self, wanted: Callable[[], bool], limit_s: float) -> Image: ...


class Core(UniMMCore):
    """A core that remembers its Python devices by label."""

    def __init__(self) -> None:
        self.python_devices: dict[str, Device] = {}
        super().__init__()

    def loadPyDevice(self, label: str, device: Device) -> None:
        """Load and remember; the name is pymmcore's."""
        super().loadPyDevice(label, device)
        self.python_devices[label] = device


def exposure_of(name: str, core: Core) -> Exposure:
    """Return the way to expose with the core's camera."""
    device = core.python_devices.get(core.getCameraDevice())
    return PythonExposure(name, device) if isinstance(device, CameraDevice) else AdapterExposure(name, core)


class PythonExposure:
    """A sequence of one, run in the calling thread; it ends by itself, `limit_s` is up to the one who waits."""

    def __init__(self, name: str, device: CameraDevice) -> None:
        self._name = name
        self._device = device

    def __call__(self, wanted: Callable[[], bool], limit_s: float) -> Image:
        """Expose.

        Raises:
            ProtocolError: the sequence ended without a frame.
        """
        buffers: list[NDArray[Any]] = []

        def new_buffer(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
            buffers.append(np.empty(shape, dtype))
            return buffers[-1]

        with self._device:
            for metadata in self._device.start_sequence(1, new_buffer):
                return buffers[-1], metadata
        raise ProtocolError(self._name, "the exposure ended without a frame")


class AdapterExposure:
    """A sequence of one, run by the adapter; polled, because it tells nobody."""

    def __init__(self, name: str, core: Core) -> None:
        self._name = name
        self._core = core

    def __call__(self, wanted: Callable[[], bool], limit_s: float) -> Image:
        """Expose.

        Raises:
            ProtocolError: the sequence ended without a frame.
            DeviceTimeout, Stopped: no frame in time, or none wanted any more; the adapter was told to stop.
        """
        core = self._core
        core.startSequenceAcquisition(1, 0, True)
        try:
            self._await(wanted, limit_s)
        except (DeviceTimeout, Stopped):
            core.stopSequenceAcquisition()
            raise
        pixels, metadata = core.popNextImageAndMD()
        return pixels, {key: metadata[key] for key in metadata}

    def _await(self, wanted: Callable[[], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while True:
            running = self._core.isSequenceRunning()  # first: a frame may come between the two questions
            if self._core.getRemainingImageCount():
                return
            if not running:
                raise ProtocolError(self._name, "the exposure ended without a frame")
            if not wanted():
                raise Stopped(self._name, "stopped")
            if time.monotonic() > deadline:
                raise DeviceTimeout(self._name, f"no frame within {limit_s:g} s")
            time.sleep(POLL_S)
