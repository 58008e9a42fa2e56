"""Read one tile: 8 or 16 bit grey TIFF or PNG, or RGB(A) whose colours are equal."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from reconstruction.errors import InputError

TIFF_SUFFIXES = {".tif", ".tiff"}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class Header:
    """Rows and columns, and the type of a grey value."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.shape[1]} x {self.shape[0]} px of {self.dtype}"


def header_of(pixels: NDArray[Any]) -> Header:
    """Describe a tile (y, x)."""
    return Header((pixels.shape[0], pixels.shape[1]), pixels.dtype)


def read_grey(path: Path) -> NDArray[Any]:
    """Read a tile as (y, x), uint8 or uint16.

    Raises:
        InputError: absent, unreadable, coloured, or of another depth than 8 or 16 bit.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such tile")
    pixels = _decoded(path)
    if pixels.ndim == 3:
        pixels = _without_colour(pixels, path)
    if pixels.ndim != 2:
        raise InputError(f"{path}: {pixels.ndim} dimensions, a tile has 2 (y, x)")
    if pixels.dtype not in DEPTHS:
        raise InputError(f"{path}: {pixels.dtype}, a tile is uint8 or uint16")
    return np.ascontiguousarray(pixels)


def _decoded(path: Path) -> NDArray[Any]:
    if path.suffix.lower() in TIFF_SUFFIXES:
        with suppress(Exception):  # damaged, or packed in a way that tifffile leaves to others (LZW)
            return np.asarray(tifffile.imread(path))
    data = path.read_bytes()
    pixels = None
    with _without_a_word(), suppress(cv2.error):  # of a size beyond its bounds, say
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data and _is_whole(data) else None
    if pixels is None:
        raise InputError(f"{path}: not a readable image")
    return np.asarray(pixels)


@contextmanager
def _without_a_word() -> Iterator[None]:
    """Keep OpenCV from complaining on stderr about a damaged TIFF, past our own words."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _is_whole(data: bytes) -> bool:
    """Tell whether a PNG has all its chunks unharmed: its decoder would complain on stderr, past our own words."""
    if not data.startswith(PNG_SIGNATURE):
        return True
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        content, sum_at = data[at + 4 : at + 8 + length], at + 8 + length
        if zlib.crc32(content) != int.from_bytes(data[sum_at : sum_at + 4], "big"):
            return False
        if content[:4] == b"IEND":
            return True
        at = sum_at + 4
    return False


def _without_colour(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """One channel of (y, x, 1..4); alpha is ignored."""
    channels = pixels.shape[2]
    if channels > 4:
        raise InputError(f"{path}: {channels} channels, a tile is grey or RGB(A)")
    grey = pixels[:, :, 0]
    colours = 1 if channels == 2 else min(channels, 3)
    if any(not np.array_equal(grey, pixels[:, :, channel]) for channel in range(1, colours)):
        raise InputError(f"{path}: a colour image, a tile is grey")
    return np.asarray(grey)
