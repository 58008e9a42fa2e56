"""What is said of a file that is there and cannot be read: which one, and nothing of the machine it lies on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, RuntimeError)
"""How libraries put it, and those who look up what a whole file would hold."""


class DamagedFile(ValueError):
    """A file that holds something else than what was written."""


@contextmanager
def named(file: Path, folder: Path) -> Iterator[None]:
    """Raise DamagedFile, by the path from `folder`, where a file's content cannot be used; one that is missing may."""
    try:
        yield
    except (DamagedFile, BlockingIOError, FileNotFoundError):
        raise
    except UNREADABLE as error:
        raise DamagedFile(f"{file.relative_to(folder)}: damaged, it cannot be read") from error
