"""Files and folders that are still there after a power cut."""

import os
from pathlib import Path

PARTIAL = ".partial"  # ends the name of a file that is being written


def write_durably(path: Path, content: str | bytes, private: bool = False) -> None:
    """Write a whole file and return once it is on the disk; a reader finds what was there before, or all of it.

    Args:
        private: for the eyes of its owner alone.
    """
    partial = path.with_suffix(PARTIAL)
    with partial.open("wb") as file:
        if private:
            os.fchmod(file.fileno(), 0o600)
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync(path.parent)


def make_folders(path: Path) -> None:
    """Create a folder and those it lies in, as far as they are missing, on the disk too."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Return once a file, or the list of names in a folder, is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
