"""One shard of raw frames: a file that is valid after every single frame.

Zarr v3, `sharding_indexed` codec with `index_location: "start"`: the file's head holds an (offset, length) pair for
each inner chunk and a CRC-32C. One inner chunk is one frame. A frame is appended at the end of the file first, and
then its slot at the head is filled in, so a reader sees the frame or the fill value, never half of it; nothing that
was written is ever written again but that one page of slots.
"""

import errno
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from acquisition.chunks import PAGE, Chunk, whole_pages
from acquisition.durable import write_durably

FRAMES_PER_SHARD = 128  # the slots of a shard and their checksum fit into one page, which is written at once
EMPTY = np.iinfo(np.uint64).max  # offset and length of a slot without a chunk
CHUNK_HEAD = 16  # bytes at the head of a blosc buffer: flags, size of the frame, of a block, and of the buffer
NOT_DIRECT = (errno.EINVAL, errno.EOPNOTSUPP)  # how file systems refuse O_DIRECT (tmpfs, some network disks)

Slots = NDArray[np.uint64]
"""(offset, length) in bytes for each frame of a shard."""


class DamagedShard(ValueError):
    """The page of slots is not what was written there."""


class Shard:
    """One shard open for appending, past the page cache where the file system allows it."""

    def __init__(self, path: Path) -> None:
        """Open the shard, or begin it.

        Raises:
            DamagedShard: its page of slots is torn.
        """
        if not path.exists():
            write_durably(path, _head(_no_slots()).ljust(PAGE, b"\0"))  # never is there a shard without its slots
        self._slots = read_slots(path)
        self._end = end_of(self._slots)
        self._page = mmap.mmap(-1, PAGE)
        self._file = _open_direct(path)

    def append(self, first_slot: int, chunks: Sequence[Chunk]) -> None:
        """Return once the chunks are on the disk, one slot after the other.

        Raises:
            OSError: the disk refused, or the file is no longer in its folder; close the shard, then cut it.
        """
        if not os.fstat(self._file).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the file has been removed from its folder")
        slots, end = self._slots.copy(), self._end
        for slot, chunk in enumerate(chunks, first_slot):
            pages = chunk.pages[: whole_pages(chunk.length)]
            _write_all(self._file, pages.data, end)
            slots[slot] = end, chunk.length
            end += len(pages)
        self._write_slots(slots)
        os.fdatasync(self._file)
        self._slots, self._end = slots, end

    def close(self) -> None:
        """May be called once."""
        os.close(self._file)

    def _write_slots(self, slots: Slots) -> None:
        head = _head(slots)
        self._page[: len(head)] = head
        _write_all(self._file, memoryview(self._page), 0)


def read_slots(path: Path) -> Slots:
    """The slots of a shard on the disk.

    Raises:
        DamagedShard: their checksum does not hold.
        OSError: not there, or not readable.
    """
    slots = _no_slots()
    with path.open("rb") as file:
        head = file.read(slots.nbytes + 4)
    if len(head) < slots.nbytes + 4 or _head(np.frombuffer(head, "<u8", slots.size)) != head:
        raise DamagedShard(f"{path}: the checksum of the page of slots does not hold")
    slots[:] = np.frombuffer(head, "<u8", slots.size).reshape(slots.shape)
    return slots


def lost_slots(path: Path, slots: Sequence[int]) -> list[int]:
    """Those of `slots` at which the shard holds no whole chunk; reads the first bytes of each chunk only.

    Raises:
        DamagedShard, OSError: as `read_slots`.
    """
    places = read_slots(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size

        def whole(slot: int) -> bool:
            offset, length = (int(value) for value in places[slot])
            if offset + length > size:
                return False
            return _chunk_length(file.fileno(), offset) == length

        return [slot for slot in slots if not whole(slot)]


def cut(path: Path, slots: int) -> None:
    """Make the shard what it was before anything came after its first `slots` frames, on the disk.

    Raises:
        DamagedShard, OSError: as `read_slots`.
    """
    places = read_slots(path)
    with path.open("r+b") as file:
        if (places[slots:] != EMPTY).any():
            places[slots:] = EMPTY
            file.write(_head(places))
            file.flush()
            os.fsync(file.fileno())  # before the chunks go: no slot may ever point beyond the end
        if os.fstat(file.fileno()).st_size != end_of(places):
            os.ftruncate(file.fileno(), end_of(places))
            os.fsync(file.fileno())


def mend(path: Path, frame_bytes: int) -> None:
    """Write the page of slots of a shard anew, from the chunks that follow each other in it.

    Args:
        frame_bytes: of a frame before compression.
    """
    places = _no_slots()
    with path.open("r+b") as file:
        size, offset = os.fstat(file.fileno()).st_size, PAGE
        for slot in range(FRAMES_PER_SHARD):
            length = _chunk_length(file.fileno(), offset, frame_bytes)
            if not CHUNK_HEAD < length <= size - offset:
                break
            places[slot] = offset, length
            offset += whole_pages(length)
        file.write(_head(places))
        file.flush()
        os.fsync(file.fileno())


def end_of(slots: Slots) -> int:
    """Where the next chunk goes, in bytes."""
    filled = slots[slots[:, 0] != EMPTY]
    return max((whole_pages(int(offset) + int(length)) for offset, length in filled), default=PAGE)


def _chunk_length(file: int, offset: int, frame_bytes: int | None = None) -> int:
    """What the head of a blosc buffer says of its length; 0 if there is none, or it is not of such a frame."""
    head = os.pread(file, CHUNK_HEAD, offset)
    if len(head) < CHUNK_HEAD or frame_bytes not in (None, int.from_bytes(head[4:8], "little")):
        return 0
    return int.from_bytes(head[12:16], "little")


def _no_slots() -> Slots:
    return np.full((FRAMES_PER_SHARD, 2), EMPTY, dtype="<u8")


def _head(slots: Slots) -> bytes:
    data = slots.tobytes()
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def _open_direct(path: Path) -> int:
    """Open for writing with O_DIRECT, or plainly where the file system refuses it."""
    try:
        return os.open(path, os.O_RDWR | getattr(os, "O_DIRECT", 0))
    except OSError as error:
        if error.errno not in NOT_DIRECT:
            raise
    return os.open(path, os.O_RDWR)


def _write_all(file: int, data: memoryview, offset: int) -> None:
    """Write whole pages; after a short write the disk is asked again, and says why."""
    while data:
        written = os.pwrite(file, data, offset) // PAGE * PAGE
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data, offset = data[written:], offset + written
