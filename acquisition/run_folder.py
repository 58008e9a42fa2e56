"""The folder of a run: what lies where in it, who may write in it, and whether a run ever began there."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from acquisition.durable import PARTIAL

RUN, JOURNAL, RAW, LOCK = "run.json", "journal.db", "raw.zarr", "acquiring.lock"
NEVER_BEGAN = "the run was cut off before it began, and holds nothing; delete the folder and start it again"
LAID_OUT = {JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", RAW, LOCK, f"run{PARTIAL}"}  # before there is a run.json
ASKED, ASK_AGAIN_S = 10, 0.02  # times; whoever asks whether a run is held holds it for some microseconds


class RunError(ValueError):
    """A folder that is no run, or one that cannot be used as asked."""


def ensure_empty(path: Path) -> None:
    """Raise RunError unless `path` is absent or an empty folder."""
    if path.is_dir():
        if never_began(path):
            raise RunError(f"output folder {path}: {NEVER_BEGAN}")
        if any(path.iterdir()):
            raise RunError(f"output folder in use: {path} is not empty")
        return
    for part in (path, *path.absolute().parents):
        if part.exists():
            if not part.is_dir():
                raise RunError(f"output folder {path}: {part} is a file")
            return


def never_began(path: Path) -> bool:
    """Whether `path` holds what a `RunStore.create` left behind that was cut off, and nothing else."""
    names = {part.name for part in path.iterdir()} if path.is_dir() else set()
    return bool(names) and LOCK in names and RUN not in names and names <= LAID_OUT


def discard_unbegun(path: Path) -> bool:
    """Delete the folder of a run that never began, and that no process is laying out; whether it was one."""
    if not never_began(path):
        return False
    held = hold(path)
    try:
        shutil.rmtree(path)
    finally:
        os.close(held)
    return True


def hold(path: Path) -> int:
    """Become the one writer of a run, until what is returned is closed or the process ends.

    Raises:
        RunError: another process is.
    """
    held = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(ASKED):
        with suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held
        time.sleep(ASK_AGAIN_S)
    os.close(held)
    raise RunError(f"{path}: is being acquired by another process")


def is_held(path: Path) -> bool:
    """Whether a live process is the writer of a run; for the moment of the question nobody can become it."""
    try:
        probe = os.open(path / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False
