"""Who writes in an output folder: one process at a time, and never over somebody else's results."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from api.errors import UsageError

ENDING_S = 2.0  # a worker whose service was killed notices at once, and may still be writing a block
LOOK_S = 0.02
LOCK = "worker.lock"


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Hold `folder` as the one place where this process makes its mosaic; the hold ends with the process.

    Raises:
        UsageError: another process is making a mosaic there, and does not end within `ENDING_S`.
    """
    deadline = time.monotonic() + ENDING_S
    with (folder / LOCK).open("w") as file:
        while not _held(file):
            if time.monotonic() > deadline:
                raise UsageError(f"output folder in use: another process is making a mosaic in {folder}")
            time.sleep(LOOK_S)
        yield


def _held(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
