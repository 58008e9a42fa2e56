"""Any camera that a Micro-Manager configuration names, C++ adapter or Python device (pymmcore-plus, `UniMMCore`).

All calls into the core are made in one thread and waited for with a deadline, so a camera that hangs does not hang us.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from devices.bounded import BoundedCalls
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.mm_exposures import Core, exposure_of
from devices.protocols import Frame
from devices.settings import MmCoreSettings

MS_PER_S = 1000.0
LOAD_S = 60.0  # vendor cameras load firmware and cool down while they are initialised
SETTING_S = 5.0
GRACE_S = 0.5  # lets an adapter's own timeout, which stops it, come before ours
NUMBER_KEY = "exposure_number"

T = TypeVar("T")


class MmCamera:
    """The camera of a Micro-Manager configuration; fulfils `Camera`."""

    def __init__(self, name: str, settings: MmCoreSettings) -> None:
        """Load the configuration and initialise its devices.

        Raises:
            DeviceLost: the file, an adapter or the camera is missing.
            DeviceTimeout: the camera hangs while it is initialised.
        """
        self.name = name
        self._settings = settings
        self._stop_token = object()
        self._exposing: Future[Frame] | None = None
        self._frames = 0
        self._calls = BoundedCalls(name)
        try:
            self._core = self._ask(self._load, LOAD_S)
            self.frame_shape: tuple[int, int] = self._ask(self._read_shape)
            self._exposure_s = self._ask(self._core.getExposure) / MS_PER_S
        except DeviceError:
            self._calls.close()
            raise
        self._expose = exposure_of(name, self._core)

    def set_exposure_s(self, exposure_s: float) -> None:
        """Set the exposure.

        Raises:
            DeviceRejected: the camera does not take this value.
        """
        self._ask(lambda: self._core.setExposure(exposure_s * MS_PER_S))
        self._exposure_s = exposure_s

    def snap(self) -> Frame:
        """Expose one frame; see `Camera`."""
        stop_token, limit_s = self._stop_token, self._exposure_s + self._settings.readout_s
        self._exposing = future = self._calls.begin(lambda: self._take(stop_token, limit_s))
        if stop_token is not self._stop_token:
            self.stop()  # the other thread's came too early to find this exposure
        return self._calls.outcome(future, limit_s + GRACE_S)

    def stop(self) -> None:
        """End the waiting in `snap` at once; an adapter is told, a Python device exposes to its end for nobody."""
        self._stop_token = object()
        if (future := self._exposing) is not None:
            self._calls.give_up(future)

    def close(self) -> None:
        """Unload the devices, unless one of them hangs."""
        self.stop()
        with suppress(DeviceLost, DeviceTimeout):  # closed before, or hanging: nothing to unload
            self._ask(self._core.unloadAllDevices)
        self._calls.close()

    def _load(self) -> Core:
        core = Core()
        try:
            core.loadSystemConfiguration(self._settings.cfg)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise DeviceLost(self.name, _one_line(error)) from error
        if not core.getCameraDevice():
            raise DeviceLost(self.name, f"{self._settings.cfg} names no camera (Property,Core,Camera,...)")
        if not core.getShutterDevice():
            core.setAutoShutter(False)  # UniMMCore would ask the shutter that is not there
        return core

    def _read_shape(self) -> tuple[int, int]:
        return int(self._core.getImageHeight()), int(self._core.getImageWidth())

    def _take(self, stop_token: object, limit_s: float) -> Frame:
        """Take one frame; runs in the thread of `BoundedCalls`."""

        def wanted() -> bool:
            return stop_token is self._stop_token

        if not wanted():
            raise Stopped(self.name, "stopped")
        try:
            pixels, metadata = self._expose(wanted, limit_s)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._meaning(error) from error
        self._frames += 1
        return Frame(self._grey16(pixels), int(metadata.get(NUMBER_KEY, self._frames)))

    def _ask(self, function: Callable[[], T], limit_s: float = SETTING_S) -> T:
        try:
            return self._calls.call(function, limit_s)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> DeviceError:
        if isinstance(error, TimeoutError):
            return DeviceTimeout(self.name, _one_line(error))
        if isinstance(error, OSError):
            return DeviceLost(self.name, _one_line(error))
        return DeviceRejected(self.name, _one_line(error))

    def _grey16(self, pixels: NDArray[Any]) -> NDArray[np.uint16]:
        """Widen to 16 bit; (rows, columns) as announced.

        Raises:
            ProtocolError: another shape, colour, or neither 8 nor 16 bit.
        """
        if pixels.shape != self.frame_shape or pixels.dtype not in (np.uint8, np.uint16):
            raise ProtocolError(self.name, f"a frame of {pixels.shape} {pixels.dtype}, not {self.frame_shape} grey")
        return pixels.astype(np.uint16, order="C", copy=False)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
