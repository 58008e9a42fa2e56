"""Frames on their way to the disk, in memory laid out as O_DIRECT wants it."""

import mmap
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAGE = 4096
"""What O_DIRECT asks of offsets, lengths and addresses."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A frame as it goes to the disk: so many bytes at the head of pages, the last of which ends in zeros."""

    pages: NDArray[np.uint8]
    length: int


class Pages:
    """Memory for chunks, laid out as O_DIRECT wants it; that of a chunk which nobody holds any more is used again.

    Memory that is new to a process costs as much time as compressing a frame: the system clears it page by page.
    """

    def __init__(self, chunk_bytes: int) -> None:
        """Prepare for chunks of at most so many bytes."""
        self._length = whole_pages(chunk_bytes)
        self._free: deque[NDArray[np.uint8]] = deque()

    def filled(self, *parts: NDArray[np.uint8]) -> Chunk:
        """Put the parts of a chunk one behind the other; may be called from several threads at once."""
        try:
            pages = self._free.pop()
        except IndexError:
            pages = np.frombuffer(_new_memory(self._length), np.uint8)
        length = 0
        for part in parts:
            pages[length : length + len(part)] = part
            length += len(part)
        pages[length : whole_pages(length)] = 0
        chunk = Chunk(pages, length)
        weakref.finalize(chunk, self._free.append, pages)
        return chunk


def _new_memory(length: int) -> mmap.mmap:
    memory = mmap.mmap(-1, length)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def whole_pages(length: int) -> int:
    """The bytes of the pages that so many bytes begin."""
    return -(-length // PAGE) * PAGE
