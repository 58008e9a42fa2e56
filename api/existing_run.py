"""The folder of a run that somebody has named."""

from pathlib import Path

from api.data_folder import DataFolder
from api.errors import NoSuchRun


def existing_run(folder: DataFolder, name: str) -> Path:
    """Where a run lies.

    Raises:
        NoSuchRun
    """
    run = folder.run(name)
    if not (run / "run.json").exists():
        raise NoSuchRun(f"run {name!r}: there is none")
    return run
