"""What becomes of the pictures of a video: grey, cropped, numbered; repeated ones left out, missing ones counted."""

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.errors import ProtocolError
from devices.protocols import VideoFrame
from devices.settings import OpenCvVideoSettings

GAP_PERIODS = 1.5  # from one frame to the next: more, and frames are missing between them

Grey = NDArray[np.uint8] | NDArray[np.uint16]


class VideoFrames:
    """Makes frames of pictures, over all openings of a source."""

    def __init__(self, name: str, settings: OpenCvVideoSettings) -> None:
        self.delivered = 0
        self.dropped = 0
        self._name = name
        self._settings = settings
        self._last: VideoFrame | None = None
        self._last_time_s: float | None = None
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Count no drops over the time since the last frame: the source was closed."""
        self._last_time_s = None

    def admit(
        self, picture: NDArray[Any], time_s: float, period_s: float | None, wanted: Callable[[], bool]
    ) -> VideoFrame | None:
        """Make a frame of a picture; None if it is the one before once more, or nobody wants it any more.

        Raises:
            ProtocolError: not the shape or depth of those before, or too small for the crop.
        """
        grey = self._cropped(_grey(picture))
        with self._lock:
            if not wanted():
                return None
            self.delivered += 1
            self._count_drops(time_s, period_s)
            if self._last is not None and self._is_repeated(grey, self._last.pixels):
                return None
            self._last = VideoFrame(grey, self.delivered, time_s)
            return self._last

    def _cropped(self, grey: Grey) -> Grey:
        if self._settings.crop_px is None:
            return grey
        x, y, width, height = self._settings.crop_px
        rows, columns = grey.shape
        if y + height > rows or x + width > columns:
            raise ProtocolError(self._name, f"a frame of {columns} x {rows} px: the crop reaches beyond it")
        return grey[y : y + height, x : x + width].copy()

    def _is_repeated(self, grey: Grey, before: Grey) -> bool:
        if grey.shape != before.shape or grey.dtype != before.dtype:
            raise ProtocolError(
                self._name, f"a frame of {grey.shape} {grey.dtype}; before it was {before.shape} {before.dtype}"
            )
        return self._settings.identical_is_repeated and np.array_equal(grey, before)

    def _count_drops(self, time_s: float, period_s: float | None) -> None:
        before_s, self._last_time_s = self._last_time_s, time_s
        if before_s is None or period_s is None:
            return
        periods = (time_s - before_s) / period_s
        if periods > GAP_PERIODS:
            self.dropped += round(periods) - 1


def _grey(picture: NDArray[Any]) -> Grey:
    grey: NDArray[Any] = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    if grey.dtype == np.uint16:
        return grey.astype(np.uint16, copy=False)
    return grey.astype(np.uint8, copy=False)
