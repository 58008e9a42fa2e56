"""Files and folders that are still there after a power cut."""

import os
from pathlib import Path


def write_durably(path: Path, text: str) -> None:
    """Write a whole file and return once it is on the disk; a reader finds the old text or the new one."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(text)
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
