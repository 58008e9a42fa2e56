"""Small things that are kept to the end of a run, in a nameless file beside the mosaic instead of in memory.

A night has thousands of overlaps, and what each of them says is a kilobyte that is seldom asked for.
"""

import os
import tempfile
import threading
import weakref
from pathlib import Path

SIZE_BITS = 32
MOST_BYTES = (1 << SIZE_BITS) - 1  # of a thing


class Shelf:
    """A file that nobody else sees and that ends with the process; may be used from any thread."""

    def __init__(self, folder: Path) -> None:
        self._file, name = tempfile.mkstemp(dir=folder.resolve())
        os.unlink(name)
        weakref.finalize(self, os.close, self._file)  # once the last thing on it is gone
        self._end = 0
        self._lock = threading.Lock()

    def put(self, content: bytes) -> "Shelved | bytes":
        """Keep something; on a full disk it stays in memory."""
        with self._lock:
            place = self._end
            self._end += len(content)
        try:
            written = os.pwrite(self._file, content, place)
        except OSError:
            return content
        return Shelved(self, place, len(content)) if written == len(content) else content

    def get(self, place: int, size: int) -> bytes:
        return os.pread(self._file, size, place)


class Shelved:
    """A thing on a shelf."""

    __slots__ = ("_at", "_shelf")  # of thousands that are kept each byte counts

    def __init__(self, shelf: Shelf, place: int, size: int) -> None:
        self._shelf = shelf
        self._at = place << SIZE_BITS | size

    def __len__(self) -> int:
        return self._at & MOST_BYTES

    def __bytes__(self) -> bytes:
        return self._shelf.get(self._at >> SIZE_BITS, len(self))
