"""A video source through OpenCV: a frame grabber, a stream, or a recording."""

import threading
from collections.abc import Callable

from devices.errors import DeviceError, DeviceLost, DeviceTimeout, Stopped, VideoEnded
from devices.protocols import VideoFrame
from devices.settings import OpenCvVideoSettings
from devices.video_frames import VideoFrames
from devices.video_grab import Grab


class OpenCvVideo:
    """Whatever `cv2.VideoCapture` opens; fulfils `VideoSource`.

    Of a live source the latest frame is kept; drops are counted where the rig file tells its period, for FFmpeg guesses
    one. A picture equal to the one before it is the same frame delivered twice: it has a number, but is left out.
    """

    def __init__(self, name: str, settings: OpenCvVideoSettings) -> None:
        """Open the source.

        Raises:
            DeviceLost: it cannot be opened.
            DeviceTimeout: not within `open_s`.
        """
        self.name = name
        self._settings = settings
        self._frames = VideoFrames(name, settings)
        self._lock = threading.Lock()  # of `_grab`; opening and waiting go on without it
        self._grab: Grab | None = None
        self._closed = False
        self._stops = 0
        self._left_behind: Grab | None = None
        self._opened(lambda: False)

    @property
    def dropped(self) -> int:
        """Frames missing so far; see `VideoSource`."""
        return self._frames.dropped

    def read_frame(self) -> VideoFrame:
        """Return the latest frame, or a recording's next; see `VideoSource`."""
        stops = self._stops
        grab = self._opened(lambda: self._stops != stops)
        try:
            return grab.next(self._settings.frame_s, lambda: self._stops != stops)
        except (Stopped, VideoEnded):
            raise
        except DeviceError:
            self._drop(grab)
            raise

    def stop(self) -> None:
        """End the waiting in `read_frame` at once."""
        with self._lock:
            self._stops += 1
            grab = self._grab
        if grab is not None:
            grab.wake()

    def close(self) -> None:
        """Close the source."""
        self._closed = True
        self.stop()
        with self._lock:
            grab = self._grab
        if grab is not None:
            self._drop(grab)

    def _opened(self, stopped: Callable[[], bool]) -> Grab:
        """Return the grab that runs, or begin one and wait until it is open."""
        with self._lock:
            if self._closed:
                raise DeviceLost(self.name, "is closed")
            if self._grab is None:
                self._refuse_second_thread()
                self._frames.resume()
                self._grab = Grab(self.name, self._settings, self._frames)
            grab = self._grab
        try:
            grab.wait_open(self._settings.open_s, stopped)
        except Stopped:
            raise
        except DeviceError:
            self._drop(grab)
            raise
        return grab

    def _refuse_second_thread(self) -> None:
        if self._left_behind is not None and self._left_behind.hangs:
            raise DeviceTimeout(self.name, f"{self._settings.source}: the library has not come back from it yet")

    def _drop(self, grab: Grab) -> None:
        with self._lock:
            if self._grab is grab:
                self._grab, self._left_behind = None, grab
        grab.give_up()
