"""Chosen pictures of a video on the disk, raw.

For seeking in a compressed video takes 0.1 s (MJPEG, MPEG-4) to 0.6 s (FFV1) a picture, and is not exact in every one.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class PictureStore:
    """Pictures (y, x) of one shape and type, by their order of arrival; the file goes with the store."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._path = path
        self._shape = shape
        self._dtype = dtype
        self._bytes = shape[0] * shape[1] * dtype.itemsize
        self._file = path.open("w+b", buffering=0)
        self._count = 0

    def add(self, pixels: NDArray[Any]) -> int:
        """Append a picture; its number."""
        self._file.seek(self._count * self._bytes)
        self._file.write(np.ascontiguousarray(pixels).data)
        self._count += 1
        return self._count - 1

    def get(self, number: int) -> NDArray[Any]:
        """Read a picture; may be called from several threads, also while one is added."""
        read = os.pread(self._file.fileno(), self._bytes, number * self._bytes)
        return np.frombuffer(read, self._dtype).reshape(self._shape)

    def close(self) -> None:
        """Delete the file; may be called twice."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
