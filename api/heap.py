"""How the C library keeps the memory of a process that works for hours (glibc; others are left as they are)."""

import ctypes
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of malloc.h
HEAPS = 2  # for all threads
SMALL = 256 * 2**10
LARGE = 32 * 2**20  # the most there is
LARGE_FRAME = 2**20


def settle_heap(frame_bytes: int) -> None:
    """Give arrays back to the system when they are done with, or keep their room where there are large ones all day.

    As it is by itself, holes in its heaps have the worker grow by a tenth in a night of 2000 tiles. To ask the system
    for each array takes as long as drawing it: 15 ms instead of 8 for a block of a mosaic. So small frames, of which a
    night has many and draws few at a time, are kept without holes, and large ones fast.
    """
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    least = LARGE if frame_bytes >= LARGE_FRAME else SMALL
    for option, value in ((M_MMAP_THRESHOLD, least), (M_TRIM_THRESHOLD, 2 * least), (M_ARENA_MAX, HEAPS)):
        mallopt(option, value)


def give_back(frame_bytes: int) -> None:
    """Return to the system what is free among things that are kept, in half a millisecond; not where frames are large.

    There, what is drawn next would have to ask for it again.
    """
    malloc_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None and frame_bytes < LARGE_FRAME:
        malloc_trim(0)
