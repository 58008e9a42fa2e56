"""Frames on their way from the thread that takes them to the thread that waits for them."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing

from devices.errors import DeviceRejected, DeviceTimeout, FramesLost, Stopped
from devices.protocols import Frame


class FrameStream:
    """A queue of at most `room` frames of one sequence; its taker waits while there is no room.

    `interval_s` is how long the camera may have to wait from one trigger to the next.
    """

    def __init__(self, name: str, frames: int, room: int, interval_s: float = 0.0) -> None:
        self.name = name
        self.frames = frames
        self.interval_s = interval_s
        self._room = room
        self._changed = threading.Condition()
        self._queue: deque[Frame] = deque()
        self.handed_out = 0
        self._armed = self._ended = self._stopped = False
        self._error: Exception | None = None
        self._interrupt: Callable[[], None] | None = None

    def wanted(self) -> bool:
        """Tell the taker whether anybody still waits for frames."""
        return not self._stopped

    def arm(self) -> None:
        """Say that the camera is ready to expose."""
        with self._changed:
            self._armed = True
            self._changed.notify_all()

    def fill(self, frames: Generator[Frame], interrupt: Callable[[], None]) -> None:
        """Take all frames, in the thread that exposes; `interrupt` is called from another, to end it early."""
        with self._changed:
            self._interrupt = interrupt
            if self._stopped:
                return
        try:
            with closing(frames):
                for frame in frames:
                    if not self._put(frame):
                        return
        except Exception as error:  # belongs to the thread that waits
            self._end(error)
        else:
            self._end(None)

    def wait_armed(self, limit_s: float) -> None:
        """Return once the camera is ready.

        Raises:
            DeviceTimeout: not within `limit_s`; the sequence has been given up.
        """
        with self._changed:
            ready = self._changed.wait_for(lambda: self._armed or self._ended or self._stopped, limit_s)
            if self._stopped:
                raise Stopped(self.name, "stopped")
            if self._error is not None and not self._queue:
                raise self._error
        if not ready:
            self.stop()
            raise DeviceTimeout(self.name, f"not ready to expose within {limit_s:g} s")

    def next(self, limit_s: float) -> Frame:
        """Wait for a frame; see `Camera.next_frame`."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._queue or self._ended or self._stopped, limit_s)
            if self._stopped:
                raise Stopped(self.name, "stopped")
            if self._queue:
                self.handed_out += 1
                self._changed.notify_all()
                return self._queue.popleft()
        if not arrived:
            self.stop()
            raise DeviceTimeout(self.name, f"no frame within {limit_s:g} s")
        raise self._why_no_more()

    def stop(self) -> None:
        """Give up what has not been handed out; who waits leaves with `Stopped`. Any thread, at any time."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
            interrupt = self._interrupt if self.handed_out < self.frames else None
        if interrupt is not None:
            interrupt()

    def _put(self, frame: Frame) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < self._room or self._stopped)
            if not self._stopped:
                self._queue.append(frame)
                self._changed.notify_all()
            return not self._stopped

    def _end(self, error: Exception | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._interrupt = None
            self._changed.notify_all()

    def _why_no_more(self) -> Exception:
        if self._error is not None:
            return self._error
        if self.handed_out < self.frames:
            lost = self.frames - self.handed_out
            return FramesLost(self.name, f"the camera ended after {self.handed_out} of {self.frames} frames", lost)
        return DeviceRejected(self.name, f"all {self.frames} frames of the sequence were taken")
