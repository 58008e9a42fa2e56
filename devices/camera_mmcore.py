"""Any camera that a Micro-Manager configuration names, C++ adapter or Python device (pymmcore-plus, `UniMMCore`).

All calls into the core are made in one thread and waited for with a deadline, so a camera that hangs does not hang us.
A snap is a sequence of one frame.
"""

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import TypeVar

from devices.bounded import BoundedCalls
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, FramesLost, OutOfRange
from devices.mm_core import Core
from devices.mm_exposures import MS_PER_S, adapter_images, python_images
from devices.mm_frames import FrameChecks
from devices.mm_stream import FrameStream
from devices.protocols import Frame, Roi
from devices.settings import MmCoreSettings
from devices.troubles import overcome

LOAD_S = 60.0  # vendor cameras load firmware and cool down while they are initialised
SETTING_S = 5.0
LATE_S = 0.5  # the slowest readout takes 0.1 s
EXPOSURE_TOLERANCE = 0.05  # cameras round to their line time: 9 us of the shortest exposure of 500 us are 2 %
BYTES_PER_MB = 2**20
BYTES_PER_PIXEL = 2

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
        self._lock = threading.Lock()  # of the two that follow
        self._streams: set[FrameStream] = set()
        self._sequence: FrameStream | None = None
        self._checks = FrameChecks(name, settings.identical_is_frozen, settings.black_below_dn)
        self._trigger: tuple[str, str] | None = None
        self._triggered = False
        self._exposure_s = 0.0
        self._calls = BoundedCalls(name)
        try:
            self._core = self._ask(self._load, LOAD_S)
            self._python_camera = self._ask(lambda: self._core.python_camera)
            self.frame_shape = self._sensor_shape = self._ask(self._core.image_shape)
            self._exposure_s = self._ask(self._read_exposure_s)
        except DeviceError:
            self._calls.close()
            raise

    @property
    def skew_s(self) -> float:
        """As the rig file tells it, less where a region has fewer lines; see `Camera`."""
        return self._settings.skew_s * self.frame_shape[0] / self._sensor_shape[0]

    def set_exposure_s(self, exposure_s: float) -> None:
        """Set the exposure; ends a sequence.

        Raises:
            DeviceRejected: the camera does not take this value, or took another one.
        """
        if not 0 < exposure_s < math.inf:
            raise DeviceRejected(self.name, f"cannot expose for {exposure_s} s")
        self._end_sequence()
        self._exposure_s = self._ask(lambda: self._expose_for(exposure_s))
        if abs(self._exposure_s - exposure_s) > EXPOSURE_TOLERANCE * exposure_s:
            raise DeviceRejected(self.name, f"exposes for {self._exposure_s:g} s instead of {exposure_s:g} s")

    def set_roi(self, roi: Roi | None) -> None:
        """Read out a part of the sensor; ends a sequence; see `Camera`."""
        rows, columns = self._sensor_shape
        if roi is not None and not (_lies_within(roi.x, roi.width, columns) and _lies_within(roi.y, roi.height, rows)):
            raise OutOfRange(self.name, f"{roi} is not within the sensor's {columns} x {rows} px")
        self._end_sequence()
        self._ask(lambda: self._read_out(roi))

    def set_binning(self, binning: int) -> None:
        """Sum pixels; ends a sequence; see `Camera`."""
        self._end_sequence()
        self._ask(lambda: self._bin(binning))

    def snap(self) -> Frame:
        """Expose one frame; see `Camera`."""
        self._end_sequence()
        self._triggered = False
        stream = self._begin(1, self._settings.internal_trigger)
        try:
            stream.wait_armed(self._frame_s)
            return self._next_of(stream, self._frame_s)
        finally:
            self._forget(stream)

    def start_sequence(self, frames: int, triggered: bool = False, interval_s: float = 0.0) -> None:
        """Begin a sequence; see `Camera`."""
        if triggered and self._settings.external_trigger is None:
            raise DeviceRejected(
                self.name,
                "the rig file tells of no trigger input: external_trigger and internal_trigger of the camera,"
                ' such as ["Triggermode", "External"] and ["Triggermode", "Internal"]',
            )
        if frames < 1:
            raise DeviceRejected(self.name, f"a sequence of {frames} frames")
        self._end_sequence()
        self._triggered = triggered
        trigger = self._settings.external_trigger if triggered else self._settings.internal_trigger
        stream = self._begin(frames, trigger, interval_s)
        try:
            stream.wait_armed(SETTING_S + self._exposure_s)
        except DeviceError:
            self._forget(stream)
            raise
        with self._lock:
            self._sequence = stream

    def next_frame(self) -> Frame:
        """Wait for the next frame; see `Camera`."""
        with self._lock:
            stream = self._sequence
        if stream is None:
            raise DeviceRejected(self.name, "no sequence is under way")
        first_s = 0.0 if stream.handed_out else self._settings.first_frame_s
        try:
            return self._next_of(stream, self._frame_s + first_s + stream.interval_s)
        except DeviceError:
            self._forget(stream)
            raise

    def stop(self) -> None:
        """End the waiting for frames at once; see `Camera`.

        An adapter is told to stop, so is a Python device that offers `stop_sequence`; another one, and an adapter that
        finishes its exposure first, exposes for nobody, and the next call waits for its end.
        """
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.stop()

    def close(self) -> None:
        """Unload the devices, unless one of them hangs."""
        self.stop()
        with suppress(DeviceLost, DeviceTimeout):  # closed before, or hanging: nothing to unload
            self._ask(self._core.unload)
        self._calls.close()

    def _next_of(self, stream: FrameStream, limit_s: float) -> Frame:
        """Wait for a frame; one that came late, though nothing had to trigger it, is welcome and told of."""
        asked_s = time.monotonic()
        frame = stream.next(limit_s)
        late_s = time.monotonic() - asked_s - self._exposure_s
        if late_s > LATE_S and not self._triggered:
            overcome(DeviceTimeout(self.name, f"frame {frame.number} came {late_s:.2g} s after its exposure"))
        return frame

    @property
    def _frame_s(self) -> float:
        """How long a frame may take."""
        return self._exposure_s + self._settings.readout_s

    def _load(self) -> Core:
        core = Core(self._settings.buffer_mb)
        try:
            core.load(self._settings.cfg)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise DeviceLost(self.name, _one_line(error)) from error
        return core

    def _begin(self, frames: int, trigger: tuple[str, str] | None, interval_s: float = 0.0) -> FrameStream:
        """Queue a sequence for the thread that exposes."""
        rows, columns = self.frame_shape
        room = max(2, self._settings.buffer_mb * BYTES_PER_MB // (rows * columns * BYTES_PER_PIXEL))
        stream = FrameStream(self.name, frames, room, interval_s)
        with self._lock:
            self._streams.add(stream)
        self._calls.begin(lambda: stream.fill(self._frames(stream, trigger), self._interrupt))
        return stream

    def _forget(self, stream: FrameStream) -> None:
        stream.stop()
        with self._lock:
            self._streams.discard(stream)
            if self._sequence is stream:
                self._sequence = None

    def _end_sequence(self) -> None:
        with self._lock:
            stream = self._sequence
        if stream is not None:
            self._forget(stream)

    def _interrupt(self) -> None:
        """Tell a Python camera, from any thread, that nobody waits any more; an adapter sees for itself."""
        stop_sequence = getattr(self._python_camera, "stop_sequence", None)
        if stop_sequence is not None:
            with suppress(OSError):  # then it is gone, and the thread that exposes will find out
                stop_sequence()

    # What follows runs in the thread of `BoundedCalls`.

    def _frames(self, stream: FrameStream, trigger: tuple[str, str] | None) -> Generator[Frame]:
        """Run a sequence and check its frames."""
        try:
            self._set_trigger(trigger)
            camera = self._python_camera
            images = adapter_images(self._core, stream) if camera is None else python_images(camera, stream)
            with closing(images):
                yield from self._checks.frames(images, self.frame_shape)
        except BufferError as error:
            raise FramesLost(self.name, _one_line(error)) from error
        except (OSError, RuntimeError, ValueError) as error:
            self._checks.forget()
            raise self._meaning(error) from error

    def _set_trigger(self, trigger: tuple[str, str] | None) -> None:
        if trigger is not None and trigger != self._trigger:
            self._trigger = None
            self._core.set_camera_property(*trigger)
            self._trigger = trigger

    def _expose_for(self, exposure_s: float) -> float:
        """Set the exposure, and return what it is then: an adapter may leave out of range what it was, in silence."""
        self._core.setExposure(exposure_s * MS_PER_S)
        return self._read_exposure_s()

    def _read_exposure_s(self) -> float:
        return float(self._core.getExposure()) / MS_PER_S

    def _read_out(self, roi: Roi | None) -> None:
        try:
            self._core.clearROI()
            if roi is not None:
                self._select(roi)
        finally:
            self.frame_shape = self._core.image_shape()

    def _select(self, roi: Roi) -> None:
        wanted = [roi.x, roi.y, roi.width, roi.height]
        try:
            self._core.setROI(*wanted)
            if (taken := list(self._core.getROI())) != wanted:
                raise DeviceRejected(self.name, f"took the region {taken} instead of {wanted} (x, y, width, height)")
        except Exception:
            self._core.clearROI()
            raise

    def _bin(self, binning: int) -> None:
        self._core.set_camera_property("Binning", str(binning))
        self._core.clearROI()
        self.frame_shape = self._sensor_shape = self._core.image_shape()

    def _ask(self, function: Callable[[], T], limit_s: float = SETTING_S) -> T:
        """Have it done, once an exposure that was given up has ended."""
        try:
            return self._calls.call(function, self._exposure_s + limit_s)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> DeviceError:
        if isinstance(error, TimeoutError):
            return DeviceTimeout(self.name, _one_line(error))
        if isinstance(error, OSError):
            return DeviceLost(self.name, _one_line(error))
        return DeviceRejected(self.name, _one_line(error))


def _lies_within(start: int, length: int, size: int) -> bool:
    return start >= 0 and length > 0 and start + length <= size


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
