"""The folder in which a service keeps all it has: the queue's database, the runs, and who it is."""

import fcntl
import itertools
import os
import re
import shutil
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from acquisition.run_folder import RunError
from api.errors import NoSuchRun, UsageError

LONGEST_SLUG = 40
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

LONGEST_SERVICE_NAME = 100
SERVICE_NAME = re.compile(rb"[\w.-]{1,%d}" % LONGEST_SERVICE_NAME)


class DataFolder:
    """`DIR`: `nanoraster.db`, `runs/`, and `service.lock`, which a living service holds and which says its name."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.runs = self.path / "runs"
        self.database = self.path / "nanoraster.db"
        self.stopped = self.path / "stopped.json"
        """That everything was stopped, until the queue knows it; see `Halt`."""
        self.wishes = self.path / "wishes.json"
        """How running jobs were told to end or to wait; see `Wishes`."""

    def make(self) -> None:
        """Lay it out, unless it is there.

        Raises:
            UsageError: it cannot be made, or written to.
        """
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"data folder {self.path}: {error.strerror}") from error

    def run(self, name: str) -> Path:
        """The run directory of that name, there or not.

        Raises:
            NoSuchRun: no run can have that name.
        """
        if not RUN_NAME.fullmatch(name):
            raise NoSuchRun(f"run {name!r}: there is none")
        return self.runs / name

    def new_run(self, of: str, now: datetime) -> str:
        """Make an empty folder for a run, named as no other is: the time in UTC, and what the job is called."""
        slug = re.sub(r"[^a-z0-9]+", "-", of.lower()).strip("-")[:LONGEST_SLUG].strip("-") or "run"
        stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{slug}"
        for number in itertools.count(1):
            name = stamp if number == 1 else f"{stamp}-{number}"
            with suppress(FileExistsError):
                (self.runs / name).mkdir()
                break
        return name

    def tiles_of(self, name: str) -> tuple[int, int] | None:
        """How many tiles of a run were taken and planned; None if it never began, or cannot be read."""
        from acquisition.run_store import RunStore  # brings zarr, which most who ask for a folder do not need

        try:
            with closing(RunStore(self.run(name))) as store:
                planned = len(store.tiles())
                return planned - len(store.missing()), planned
        except (RunError, OSError):
            return None

    def clear(self, name: str) -> None:
        """Take away what is left of a run that never began: without its `run.json` it can hold no frame."""
        run = self.run(name)
        if run.exists() and not (run / "run.json").exists():
            shutil.rmtree(run)


class Occupied:
    """The hold of one service on its folder; it ends with the process, however that ends."""

    def __init__(self, folder: DataFolder) -> None:
        """Take hold.

        Raises:
            UsageError: another service has it, its name there is damaged, or nobody may write there.
        """
        path = folder.path / "service.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; a service needs a data folder that it can write to") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise UsageError(f"data folder {folder.path}: another service is at work there") from error
        found = os.pread(self._file, LONGEST_SERVICE_NAME + 1, 0)
        if found and not SERVICE_NAME.fullmatch(found):
            os.close(self._file)
            raise UsageError(
                f"{path}: damaged: it holds no name of a service; put it aside, and see what `queue list` has"
            )
        self.name = found.decode() or self._christen()

    def release(self) -> None:
        """Let another service have it."""
        os.close(self._file)

    def _christen(self) -> str:
        """The name under which this folder's service claims jobs, the same after each start."""
        name = uuid4().hex
        os.pwrite(self._file, name.encode(), 0)
        os.fsync(self._file)
        return name
