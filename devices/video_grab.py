"""One opening of a video source, in a thread of its own: a grabber that hangs hangs nobody who waits for its frames."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2

from devices.errors import DeviceError, DeviceLost, DeviceTimeout, ProtocolError, Stopped, VideoEnded
from devices.protocols import VideoFrame
from devices.settings import OpenCvVideoSettings
from devices.video_frames import VideoFrames

MS_PER_S = 1000.0
READ_AHEAD = 4  # frames of a recording that wait to be taken
GRACE_S = 0.25  # lets our own deadline come before the library's, which ends its call
CLOSE_S = 0.5
RIPE_S = 0.1  # a live frame that another follows, or no end within this time, was not cut short by the end
GREY_16 = int.from_bytes(b"Y1\0\x10", "little")  # FFmpeg's tag of gray16le; with its conversion on it comes as 8 bit

# Both libraries write to stderr what goes wrong with a source; it is told once, as an error of the device.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET, read when the first source is opened
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Grab:
    """Opens a source and reads it until it ends, fails or is given up; keeps the latest frame, of a recording all."""

    def __init__(self, name: str, settings: OpenCvVideoSettings, frames: VideoFrames) -> None:
        self._name = name
        self._settings = settings
        self._frames = frames
        self._changed = threading.Condition()
        self._queue: deque[VideoFrame] = deque()
        self._fresh: VideoFrame | None = None  # live, and not known to be whole: FFmpeg hands out half a picture, too
        self._fresh_since_s = 0.0
        self._opened = False
        self._wanted = True
        self._end: DeviceError | None = None
        self._thread = threading.Thread(target=self._run, name=f"{name} grab", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether the thread is still in the library."""
        return self._thread.is_alive()

    def wait_open(self, limit_s: float, stopped: Callable[[], bool]) -> None:
        """Return once the source is open.

        Raises:
            DeviceTimeout: not within `limit_s`.
            DeviceLost: it cannot be opened.
            Stopped: `stopped` turned true.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._end is not None or stopped(), limit_s)
            if stopped():
                raise Stopped(self._name, "stopped")
            if not self._opened:
                raise self._end or DeviceTimeout(self._name, f"{self._settings.source}: not open within {limit_s:g} s")

    def next(self, limit_s: float, stopped: Callable[[], bool]) -> VideoFrame:
        """Wait for a frame that was not handed out yet; see `VideoSource.read_frame`."""
        deadline_s = time.monotonic() + limit_s
        with self._changed:
            while True:
                if stopped():
                    raise Stopped(self._name, "stopped")
                self._ripen()
                if self._queue:
                    self._changed.notify_all()
                    return self._queue.popleft()
                if self._end is not None:
                    raise self._end
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise DeviceTimeout(self._name, f"no new frame within {limit_s:g} s")
                self._changed.wait(left_s if self._fresh is None else min(left_s, RIPE_S))

    def wake(self) -> None:
        """Have those who wait look whether they were stopped."""
        with self._changed:
            self._changed.notify_all()

    def give_up(self) -> None:
        """End the thread; one that hangs in the library ends when the library lets it go."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        capture: cv2.VideoCapture | None = None
        try:
            capture = self._open()
            self._read(capture)
        except DeviceError as error:
            self._finish(error)
        except cv2.error as error:
            self._finish(ProtocolError(self._name, " ".join(str(error).split())))
        finally:
            if capture is not None:
                capture.release()

    def _open(self) -> cv2.VideoCapture:
        source = self._settings.source
        if isinstance(source, int):
            capture = cv2.VideoCapture(source)
        else:
            limits_ms = [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(self._settings.open_s * MS_PER_S)),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round((self._settings.frame_s + GRACE_S) * MS_PER_S)),
            ]
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits_ms)
        if not capture.isOpened():
            raise DeviceLost(self._name, f"{source}: cannot be opened")
        if int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) == GREY_16:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        return capture

    def _read(self, capture: cv2.VideoCapture) -> None:
        """Read frames until there are no more.

        Raises:
            VideoEnded: a recording has no more.
            DeviceLost, DeviceTimeout: a live source has no more, or none for too long.
        """
        recorded = _is_recording(self._settings.source, capture)
        period_s = self._settings.period_s or (_period_s(capture) if recorded else None)
        for _ in range(self._frames.delivered if recorded else 0):
            capture.grab()  # read before the source was opened again; seeking is not exact in every file
        with self._changed:
            self._opened = True
            self._changed.notify_all()
        arrived_s = time.monotonic()
        while capture.grab():
            arrived_s = time.monotonic()
            time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / MS_PER_S if recorded else arrived_s
            decoded, picture = capture.retrieve()
            if not decoded:
                raise ProtocolError(self._name, f"the frame after number {self._frames.delivered} cannot be decoded")
            frame = self._frames.admit(picture, time_s, period_s, lambda: self._wanted)
            if not self._put(frame, recorded):
                return
        if recorded:
            raise VideoEnded(self._name, f"{self._settings.source} ends after {self._frames.delivered} frames")
        if time.monotonic() - arrived_s >= self._settings.frame_s:
            raise DeviceTimeout(self._name, f"{self._settings.source}: no frame within {self._settings.frame_s:g} s")
        raise DeviceLost(self._name, f"{self._settings.source}: no more frames come")

    def _put(self, frame: VideoFrame | None, recorded: bool) -> bool:
        """Queue a frame; return whether more are wanted. A recording waits for room, live the latest replaces all."""
        with self._changed:
            if recorded:
                self._changed.wait_for(lambda: len(self._queue) < READ_AHEAD or not self._wanted)
            if frame is not None and self._wanted:
                if recorded:
                    self._queue.append(frame)
                else:
                    self._release_fresh()
                    self._fresh, self._fresh_since_s = frame, time.monotonic()
                self._changed.notify_all()
            return self._wanted

    def _ripen(self) -> None:
        if self._end is None and time.monotonic() - self._fresh_since_s >= RIPE_S:
            self._release_fresh()

    def _release_fresh(self) -> None:
        """Let the latest live frame be handed out instead of an older one."""
        if self._fresh is not None:
            self._queue.clear()
            self._queue.append(self._fresh)
            self._fresh = None

    def _finish(self, error: DeviceError) -> None:
        with self._changed:
            self._end = error
            self._changed.notify_all()


def _is_recording(source: int | str, capture: cv2.VideoCapture) -> bool:
    """A file, or a stream of known length."""
    return isinstance(source, str) and (Path(source).is_file() or capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)


def _period_s(capture: cv2.VideoCapture) -> float | None:
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return 1.0 / rate_hz if rate_hz > 0 else None
