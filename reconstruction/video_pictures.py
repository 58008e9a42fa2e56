"""The pictures of a recorded video, one after the other, grey; nothing of them is kept here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError

GREY_16 = int.from_bytes(b"Y1\0\x10", "little")  # FFmpeg's tag of gray16le; converted, it would come as 8 bit
MS_PER_S = 1000.0
LEAST_SIDE_PX = 64
AGAIN = 25  # looks behind a place that cannot be decoded

# FFmpeg and OpenCV write to stderr what is wrong with a file; how much of it could be read stands in the report.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET, read when the first video is opened
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
Crop = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True)
class Picture:
    """One frame of a video: `pixels` (y, x), uint8 or uint16; number and time count from 0 at the start of its file."""

    pixels: NDArray[Any]
    number: int
    time_s: float


class Film:
    """A video file, or a series of pictures named like `frame_%04d.png`; can be gone through any number of times."""

    def __init__(self, path: Path) -> None:
        """Look at the first picture.

        Raises:
            InputError: absent, or nothing that OpenCV can decode.
        """
        self.path = path
        self.name = path.name
        if "%" not in path.name and not path.is_file():
            raise InputError(f"{path}: no such video")
        capture = self._opened()
        read, first = capture.read()
        self.frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # what its head says; 0: nothing
        self.rate_hz = capture.get(cv2.CAP_PROP_FPS) or 25.0
        capture.release()
        if not read:
            raise InputError(f"{path}: a video without a picture that can be decoded")
        grey = _grey(first)
        self.shape = grey.shape[0], grey.shape[1]
        self.dtype = grey.dtype

    def pictures(self, crop: Crop | None = None) -> Iterator[Picture]:
        """Yield every picture from the first on, as far as the file can be read.

        Raises:
            InputError: the pictures change their size or depth.
        """
        capture = self._opened()
        try:
            last_s = -1.0 / self.rate_hz
            number = failed = 0
            while failed == 0 or (number < self.frames and failed <= AGAIN):
                if not capture.grab():
                    failed += 1
                    continue
                decoded, picture = capture.retrieve()
                told_s = capture.get(cv2.CAP_PROP_POS_MSEC) / MS_PER_S
                # containers without times, and broken ones, tell 0 or go back
                last_s = told_s if told_s > last_s else last_s + 1.0 / self.rate_hz
                if failed:  # how many pictures were passed over only their times tell
                    number, failed = max(number, round(last_s * self.rate_hz)), 0
                if decoded:
                    yield Picture(self._checked(_grey(picture), number, crop), number, last_s)
                number += 1
        finally:
            capture.release()

    def samples(self, count: int) -> Iterator[NDArray[Any]]:
        """Yield pictures from all over the video, where it can be sought in; about there is near enough."""
        capture = self._opened()
        try:
            for place in range(count if self.frames else 0):
                capture.set(cv2.CAP_PROP_POS_FRAMES, (place + 0.5) * self.frames // count)
                read, picture = capture.read()
                if read:
                    yield _grey(picture)
        finally:
            capture.release()

    def _checked(self, grey: NDArray[Any], number: int, crop: Crop | None) -> NDArray[Any]:
        if (grey.shape, grey.dtype) != (self.shape, self.dtype):
            raise InputError(f"{self.path}: frame {number} is {_size(grey)}, the first one {self.described}")
        if crop is None:
            return grey
        x, y, width, height = crop
        return np.ascontiguousarray(grey[y : y + height, x : x + width])

    @property
    def described(self) -> str:
        return f"{self.shape[1]} x {self.shape[0]} px of {self.dtype}"

    def _opened(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise InputError(f"{self.path}: not a video that OpenCV can open")
        if int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) == GREY_16:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        return capture


def films_of(paths: list[Path]) -> list[Film]:
    """Open videos whose pictures are alike.

    Raises:
        InputError: one cannot be read, or is unlike the first.
    """
    films = [Film(path) for path in paths]
    for film in films[1:]:
        if (film.shape, film.dtype) != (films[0].shape, films[0].dtype):
            raise InputError(f"{film.path}: {film.described}, but {films[0].name} is {films[0].described}")
    return films


def refuse_crop(crop: Crop, shape: tuple[int, int]) -> None:
    """Raise InputError unless a crop lies inside pictures of (rows, columns) and leaves something to register."""
    x, y, width, height = crop
    rows, columns = shape
    if x < 0 or y < 0 or x + width > columns or y + height > rows:
        raise InputError(f"crop {x},{y},{width},{height}: reaches beyond pictures of {columns} x {rows} px")
    if min(width, height) < LEAST_SIDE_PX:
        raise InputError(f"crop {x},{y},{width},{height}: leaves less than {LEAST_SIDE_PX} px on a side")


def _grey(picture: NDArray[Any]) -> NDArray[Any]:
    return picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


def _size(grey: NDArray[Any]) -> str:
    return f"{grey.shape[1]} x {grey.shape[0]} px of {grey.dtype}"
