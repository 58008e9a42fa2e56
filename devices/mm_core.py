"""A Micro-Manager core that keeps its log to itself, and knows which of its devices are Python's."""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

# pymmcore-plus opens a log file in the user's data folder when imported ("0" should forbid it, but does not), and sets
# the root logger to DEBUG. Windows has no path that serves here: there it keeps its file.
if os.name == "posix":
    os.environ.setdefault("PYMM_LOG_FILE", os.devnull)
_root_level = logging.getLogger().level
from pymmcore_plus.experimental.unicore import CameraDevice, Device, UniMMCore  # noqa: E402

logging.getLogger().setLevel(_root_level)
for logger in ("pymmcore-plus", "pymmcore_plus"):  # the package's own, and that of modules which log by their names
    logging.getLogger(logger).setLevel(logging.CRITICAL)  # what they log, with a traceback, is raised too

__all__ = ["CameraDevice", "Core", "Pixels", "Shape"]

LEAVE_S = 1.0  # for an adapter's thread to leave the device after its sequence has ended
LEAVING_POLL_S = 0.001

Pixels = NDArray[Any]
Shape = tuple[int, int]


class Core(UniMMCore):
    """A core with one camera, and maybe other devices."""

    def __init__(self, buffer_mb: int) -> None:
        self._python_devices: dict[str, Device] = {}
        self._exposing_threads: frozenset[str] = frozenset()
        super().__init__()
        self.setCircularBufferMemoryFootprint(buffer_mb)

    def loadPyDevice(self, label: str, device: Device) -> None:
        """Load and remember; the name is pymmcore's."""
        super().loadPyDevice(label, device)
        self._python_devices[label] = device

    def load(self, cfg: Path) -> None:
        """Load a configuration and initialise its devices.

        Raises:
            OSError, RuntimeError, ValueError, ImportError: the file, an adapter or a device is missing.
        """
        self.loadSystemConfiguration(cfg)
        for device in self._python_devices.values():
            if isinstance(failure := device._initialized_, Exception):  # pymmcore-plus keeps it there, and goes on
                raise failure
        if not self.getCameraDevice():
            raise ValueError(f"{cfg} names no camera (Property,Core,Camera,...)")
        if not self.getShutterDevice():
            self.setAutoShutter(False)  # UniMMCore would ask the shutter that is not there

    def start_adapter_sequence(self, frames: int) -> None:
        """Have the adapter expose a number of frames, in a thread of its own."""
        before = _native_threads()
        self.startSequenceAcquisition(frames, 0, True)
        self._exposing_threads = _native_threads() - before

    def unload(self) -> None:
        """Unload the devices once no adapter's thread uses them.

        A thread is still in its device for a moment after the adapter has said that the sequence is over (the
        DemoCamera's is: unloaded at that moment, it ends the process with a segmentation fault).
        """
        give_up_s = time.monotonic() + LEAVE_S
        while self._exposing_threads & _native_threads() and time.monotonic() < give_up_s:
            time.sleep(LEAVING_POLL_S)
        self.unloadAllDevices()

    @property
    def python_camera(self) -> CameraDevice | None:
        """The camera, if it is a Python device; None if it is an adapter's."""
        device = self._python_devices.get(self.getCameraDevice())
        return device if isinstance(device, CameraDevice) else None

    def image_shape(self) -> Shape:
        """Rows and columns of the frames as they come now."""
        return int(self.getImageHeight()), int(self.getImageWidth())

    def set_camera_property(self, name: str, value: str) -> None:
        """Set a property of the camera.

        Raises:
            RuntimeError, ValueError: there is no such property, or it does not take this value.
        """
        camera = self.getCameraDevice()
        try:
            self.setProperty(camera, name, value)
        except (LookupError, AttributeError) as error:  # of a Python device: unknown, or read only
            raise ValueError(f"{camera} has no property {name!r} that can be set") from error


def _native_threads() -> frozenset[str]:
    """The threads of this process, also those that Python does not know; none where the system does not list them."""
    with suppress(OSError):
        return frozenset(os.listdir("/proc/self/task"))
    return frozenset()
