"""What a caller may have to tell its user."""

from pathlib import Path


class InputError(ValueError):
    """What was given cannot be used; the message is one line with the file, the value and the range."""


def no_folder(path: Path) -> str:
    """What is said of a path where there should be a folder."""
    return f"{path}: is a file, not a folder" if path.exists() else f"{path}: no such folder"
