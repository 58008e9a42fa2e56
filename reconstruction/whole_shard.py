"""A shard of a mosaic, written as a whole, past the page cache where that is possible, and put in place by a rename.

Zarr v3, `sharding_indexed` with the index in front. Nothing is packed: a page with the index, then all chunks in order,
zeros included, so that each chunk lies at the same place in every version of the shard. A reader that looked into
the index of the old file and reads from the new one still finds whole pixels.
"""

import errno
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import BLOCK_PX

CHUNK_PX = 256
PER_SIDE = BLOCK_PX // CHUNK_PX
PAGE = 4096  # what O_DIRECT asks of offsets, lengths and addresses
NOT_DIRECT = (errno.EINVAL, errno.EOPNOTSUPP)  # how file systems refuse O_DIRECT (tmpfs, some network disks)

_buffers = threading.local()


def write_shard(path: Path, image: NDArray[Any], also: Sequence[Path] = ()) -> None:
    """Put a block (y, x) of at most `BLOCK_PX` each way into its place; missing pixels become 0.

    Args:
        also: shards that hold the same; they become further names of the same file where that is possible.

    Raises:
        OSError: the disk refused; the shard is what it was.
    """
    data = _encoded(image)
    _replace(path, lambda fresh: _write(fresh, data))
    for other in also:
        _replace(other, lambda fresh: _link(path, fresh, data))


def read_chunk(path: Path, dtype: np.dtype[Any], row: int, column: int, may_wait: bool = True) -> NDArray[Any]:
    """One chunk (y, x) of a shard that was written like that, by its place in it.

    Args:
        may_wait: for the disk.

    Raises:
        ValueError: it was written in another way.
        BlockingIOError: one would have to wait for the disk.
        OSError: there is none, or it cannot be read.
    """
    chunk = np.empty((CHUNK_PX, CHUNK_PX), dtype)
    file = os.open(path, os.O_RDONLY)
    try:
        if os.fstat(file).st_size != PAGE + BLOCK_PX**2 * dtype.itemsize:
            raise ValueError(f"{path}: not a whole shard")
        if may_wait:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)  # who looks at one looks at its neighbours next
        offset = PAGE + (row * PER_SIDE + column) * chunk.nbytes
        read = os.preadv(file, [chunk.data], offset, 0 if may_wait else os.RWF_NOWAIT)
    except OSError as error:
        if not may_wait and error.errno in NOT_DIRECT:
            raise BlockingIOError(error.errno, f"{path}: nobody knows whether it is in memory") from error
        raise
    finally:
        os.close(file)
    if read < chunk.nbytes:
        raise BlockingIOError(errno.EAGAIN, f"{path}: only {read} bytes of a chunk are at hand")
    return chunk


def _encoded(image: NDArray[Any]) -> mmap.mmap:
    """Lay an image out as a shard, in a buffer of this thread that begins on a page."""
    dtype = image.dtype.newbyteorder("<")
    buffer = _buffer(PAGE + BLOCK_PX**2 * dtype.itemsize, dtype.itemsize)
    chunks = np.frombuffer(buffer, dtype, offset=PAGE).reshape(PER_SIDE, PER_SIDE, CHUNK_PX, CHUNK_PX)
    whole = image
    if image.shape != (BLOCK_PX, BLOCK_PX):
        whole = np.zeros((BLOCK_PX, BLOCK_PX), dtype)
        whole[: image.shape[0], : image.shape[1]] = image
    chunks[...] = whole.reshape(PER_SIDE, CHUNK_PX, PER_SIDE, CHUNK_PX).swapaxes(1, 2)
    return buffer


def _buffer(size: int, item_bytes: int) -> mmap.mmap:
    buffers: dict[int, mmap.mmap] = _buffers.__dict__.setdefault("by_size", {})
    if size not in buffers:
        buffers[size] = mmap.mmap(-1, size)
        buffers[size][:PAGE] = _head(item_bytes)
    return buffers[size]


def _head(item_bytes: int) -> bytes:
    """Offset and length of every chunk with their CRC-32C, filled up to a page."""
    length = CHUNK_PX**2 * item_bytes
    slots = np.array([(PAGE + i * length, length) for i in range(PER_SIDE**2)], dtype="<u8").tobytes()
    return (slots + int(google_crc32c.value(slots)).to_bytes(4, "little")).ljust(PAGE, b"\0")


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        write(fresh)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(fresh)
    os.replace(fresh, path)


def _write(fresh: Path, data: mmap.mmap) -> None:
    file = _open_direct(fresh)
    try:
        offset = 0
        while offset < len(data):
            written = os.pwrite(file, memoryview(data)[offset:], offset) // PAGE * PAGE
            if not written:  # after a short write the disk is asked again, and says why
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset += written
    finally:
        os.close(file)


def _open_direct(path: Path) -> int:
    """Open a new file for writing with O_DIRECT, or plainly where the file system refuses it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o666)
    except OSError as error:
        if error.errno not in NOT_DIRECT:
            raise
    return os.open(path, flags, 0o666)


def _link(path: Path, fresh: Path, data: mmap.mmap) -> None:
    """Give the file a second name, or write it a second time where the file system knows no such thing."""
    try:
        os.link(path, fresh)
    except FileNotFoundError:
        raise
    except OSError:
        _write(fresh, data)
