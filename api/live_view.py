"""What the camera sees, for all who watch: one picture, taken once, however many they are.

While a run has the rig it is the frame that was stored last, read from the run: nobody asks the camera. Between two
jobs frames are taken by hand, on a rig that is open, or that opens without moving anything.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.run_folder import RAW
from api.errors import lines, say
from api.hand.errors import RigTaken
from api.hand.readings import opens_quietly
from api.hand.snapping import snap
from api.running_job import RunningJob
from api.service import Service

PERIOD_S = 0.2
END_S = 0.5
AGAIN_S = 2.0  # after something that went wrong
LONG_SIDE_PX = 1024
QUALITY = 80
DARKEST, BRIGHTEST = 0.5, 99.5  # percentiles


class LiveView:
    """Has a thread as long as somebody watches."""

    def __init__(self, service: Service, shown: Callable[[], None] = lambda: None) -> None:
        """Begin with nothing; `shown` is called after every new picture, by another thread."""
        self.latest: tuple[int, bytes] = 0, b""
        """Number and JPEG of the picture; the number rises with every new one."""
        self._service = service
        self._shown = shown
        self._lock = threading.Lock()
        self._watchers = 0
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._stored: tuple[str, int] | None = None  # what of a run is shown
        self._trouble: type[Exception] | None = None  # what stands in the way, and was said

    def join(self) -> None:
        """Begin to watch."""
        with self._lock:
            self._watchers += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="live view", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        with self._lock:
            self._watchers -= 1

    def close(self) -> None:
        """Show nothing new any more; an exposure under way is cut short with the rig that people have."""
        self._over.set()
        if (thread := self._thread) is not None:
            thread.join(END_S)

    def _look(self) -> None:
        while not self._over.is_set():
            with self._lock:
                if not self._watchers:
                    self._thread = None
                    return
            began_s, wait_s = time.monotonic(), PERIOD_S
            try:
                pixels = self._picture()
                if pixels is not None:
                    self.latest = self.latest[0] + 1, _jpeg(pixels)
                    self._shown()
                self._trouble = None
            except Exception as error:
                wait_s = AGAIN_S  # a dead camera, no rig file, a bug: the view stands still meanwhile
                if type(error) is not self._trouble:
                    say(f"live view: {'; '.join(lines(error))}")
                self._trouble = type(error)
            self._over.wait(max(wait_s - (time.monotonic() - began_s), 0.0))

    def _picture(self) -> NDArray[Any] | None:
        """The next frame (y, x); None: there is no new one."""
        running = self._service.running()
        if running is not None:
            return self._stored_last(running)
        hand = self._service.by_hand
        if not (hand.is_open or opens_quietly(hand.settings())):
            return None
        try:
            return snap(hand, hand.exposure_s)
        except RigTaken:
            return None

    def _stored_last(self, running: RunningJob) -> NDArray[Any] | None:
        last, run = running.taken_last, running.job.run
        if last is None or last.frame is None or run is None or self._stored == (run, last.frame):
            return None
        pixels = np.asarray(zarr.open_array(self._service.folder.run(run) / RAW, mode="r")[last.frame])
        self._stored = run, last.frame
        return pixels


def _jpeg(pixels: NDArray[Any]) -> bytes:
    shrink = max(max(pixels.shape) / LONG_SIDE_PX, 1.0)
    rows, columns = (max(round(size / shrink), 1) for size in pixels.shape)
    small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, [DARKEST, BRIGHTEST])
    shown = np.clip((small - low) * (255 / max(high - low, 1.0)), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
