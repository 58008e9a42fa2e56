"""The append-only shard: raw frames in a sharded Zarr v3 array that is valid after every single frame.

Zarr v3, `sharding_indexed` codec with `index_location: "start"`: a shard is one file whose head holds an
(offset, length) pair for each inner chunk and a CRC-32C. One inner chunk is one frame. A frame is appended at
the end of the file first, and then its slot at the head is filled in, so a reader sees the frame or the fill
value, never half of it; nothing that was written is ever written again but that one page of slots.
"""

import contextlib
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c
import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodecIndexLocation

PAGE = 4096  # what O_DIRECT asks of offsets, lengths and addresses
FRAMES_PER_SHARD = 128  # the slots of a shard and their checksum fit into one page, which is written at once
EMPTY = np.iinfo(np.uint64).max  # offset and length of a slot without a chunk


class FrameArray:
    """Array (frame, y, x) of uint16 to which frames are appended; readable by any Zarr v3 reader meanwhile.

    Slots that were not written yet read as 0. One writer at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open an array that `create` laid out."""
        self.path = path
        self._frames, rows, columns = zarr.open_array(path, mode="r").shape
        self.frame_shape = rows, columns
        self._shard_number = -1
        self._shard: _ShardFile | None = None

    @classmethod
    def create(cls, path: Path, frame_shape: tuple[int, int], frames: int) -> Self:
        """Lay out an empty array for `frames` frames.

        Raises:
            FileExistsError: there is an array already.
        """
        zarr.create_array(
            path,
            shape=(frames, *frame_shape),
            shards={
                "shape": (FRAMES_PER_SHARD, *frame_shape),
                "index_location": ShardingCodecIndexLocation.start,
            },
            chunks=(1, *frame_shape),
            dtype=np.uint16,
            filters=None,
            compressors=BloscCodec(typesize=2, cname="lz4", clevel=1, shuffle="bitshuffle"),
            fill_value=0,
            dimension_names=("frame", "y", "x"),
        )
        return cls(path)

    def write(self, frame: int, pixels: NDArray[np.uint16]) -> None:
        """Append the pixels (y, x) as number `frame` and return once they are on the disk.

        Raises:
            ValueError: another shape or type than the array's, or a number beyond its end; nothing was written.
            OSError: the disk refused; the array is as it was before.
        """
        if not 0 <= frame < self._frames:
            raise ValueError(f"frame {frame} is outside 0..{self._frames - 1}")
        if pixels.shape != self.frame_shape or pixels.dtype != np.uint16:
            raise ValueError(f"frame {frame} is {pixels.dtype} {pixels.shape}, the run's are uint16 {self.frame_shape}")
        number, slot = divmod(frame, FRAMES_PER_SHARD)
        try:
            if self._shard is None or number != self._shard_number:
                self._shard = self._opened(number, raw_bytes=pixels.nbytes)
            self._shard.append(slot, blosc.compress(np.ascontiguousarray(pixels), b"lz4", 1, blosc.BITSHUFFLE))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def close(self) -> None:
        """Release the open shard; may be called twice."""
        if self._shard is not None:
            self._shard.close()
        self._shard, self._shard_number = None, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self, number: int, raw_bytes: int) -> "_ShardFile":
        self.close()
        path = self.path / "c" / str(number) / "0" / "0"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._shard_number = number
        return _ShardFile(path, raw_bytes)


class _ShardFile:
    """One shard open for appending, past the page cache where the file system allows it."""

    def __init__(self, path: Path, raw_bytes: int) -> None:
        self._file = _open_direct(path)
        size = os.fstat(self._file).st_size
        self._slots = np.full((FRAMES_PER_SHARD, 2), EMPTY, dtype="<u8")
        if size:
            self._slots[:] = np.fromfile(path, dtype="<u8", count=self._slots.size).reshape(self._slots.shape)
        self._end = _whole_pages(max(size, PAGE))
        self._page = mmap.mmap(-1, PAGE)
        self._buffer = mmap.mmap(-1, _whole_pages(raw_bytes + blosc.MAX_OVERHEAD))
        if not size:
            self._write_slots()

    def append(self, slot: int, chunk: bytes) -> None:
        length = _whole_pages(len(chunk))
        self._buffer[: len(chunk)] = chunk
        self._buffer[len(chunk) : length] = bytes(length - len(chunk))
        _write_all(self._file, memoryview(self._buffer)[:length], self._end)
        before = self._slots[slot].copy()
        self._slots[slot] = self._end, len(chunk)
        try:
            self._write_slots()
            os.fdatasync(self._file)
        except OSError:
            self._slots[slot] = before
            raise
        self._end += length

    def close(self) -> None:
        os.close(self._file)

    def _write_slots(self) -> None:
        slots = self._slots.tobytes()
        head = slots + google_crc32c.value(slots).to_bytes(4, "little")
        self._page[: len(head)] = head
        _write_all(self._file, memoryview(self._page), 0)


def _open_direct(path: Path) -> int:
    """Open for writing with O_DIRECT, or plainly where the file system refuses it (tmpfs, some network disks)."""
    flags = os.O_RDWR | os.O_CREAT
    with contextlib.suppress(OSError):
        return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o644)
    return os.open(path, flags, 0o644)


def _write_all(file: int, data: memoryview, offset: int) -> None:
    """Write all of `data`; a short write (disk full) ends in the error of the next one."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def _whole_pages(length: int) -> int:
    return -(-length // PAGE) * PAGE
