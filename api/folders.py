"""Who writes in an output folder: one process at a time, and never over somebody else's results."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.errors import UsageError


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Hold `folder` as the one place where this process makes its mosaic; the hold ends with the process.

    Raises:
        UsageError: another process is making a mosaic there.
    """
    with (folder / "worker.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"output folder in use: another process is making a mosaic in {folder}") from error
        yield
