"""Runs restored again with other models: one at a time, each in a process of its own, beside the run and not in it.

DIR/restored/RUN/MODEL/    mosaic, positions and report, as `nanoraster reconstruct` makes them
"""

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

from api.data_folder import DataFolder
from api.errors import Occupied
from api.modules import module_command
from reconstruction.restore import check

FOLDER = "restored"
END_S = 1.0


class Restorations:
    """Started and looked at by any thread."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder.path / FOLDER
        self._runs = folder.runs
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._working: tuple[str, str] = "", ""

    def start(self, run: str, model: str) -> None:
        """Begin to restore an existing run with a model; one that was cut off begins anew.

        Raises:
            InputError: no such model.
            Occupied: this or another one is under way, or it is there already.
        """
        check(model, files=False)
        with self._lock:
            if self._is_working():
                raise Occupied(f"run {self._working[0]} is being restored with {self._working[1]}")
            out = self.path(run, model)
            if _is_made(out):
                raise Occupied(f"run {run} was restored with {model}; it would come out the same")
            shutil.rmtree(out, ignore_errors=True)
            command = module_command("api.restoring", str(self._runs / run), str(out), model)
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            self._working = run, model

    def of(self, run: str) -> list[dict[str, Any]]:
        """What there is of a run: `state` is working, done or cut off."""
        folder = self._folder / run
        models = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if self._working[0] == run:
            models.add(self._working[1])  # its process has just begun, or made no folder
        return [{"model": model, "state": self._state(run, model)} for model in sorted(models)]

    def path(self, run: str, model: str) -> Path:
        """Where a restoration lies, there or not; the names are those of a run and a model that exist."""
        return self._folder / run / model

    def close(self) -> None:
        """End what is under way; it can be begun anew."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _state(self, run: str, model: str) -> str:
        if self._working == (run, model) and self._is_working():
            return "working"
        return "done" if _is_made(self.path(run, model)) else "cut off"

    def _is_working(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None


def _is_made(out: Path) -> bool:
    return (out / "report" / "report.html").exists()
