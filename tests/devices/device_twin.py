"""The twin as a process of its own, for tests that ask the world what happened."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 60.0  # loading the libraries on a busy machine; about 2 s on an idle one


@dataclass(frozen=True)
class Twin:
    """Where the twin is, and what is true there."""

    ready: dict[str, Any]

    @property
    def rig_file(self) -> Path:
        return Path(self.ready["rig"])

    def truth(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.ready['world']['url']}/truth", timeout=5) as answer:
            truth: dict[str, Any] = json.load(answer)
        return truth

    def position_um(self, role: str) -> dict[str, float]:
        """Where a positioner truly is."""
        truth = self.truth()
        return dict(zip("xyz", truth["scanner_um"], strict=True)) if role == "scanner" else {"z": truth["focus_um"]}


@contextmanager
def running_twin(folder: Path, *options: str) -> Iterator[Twin]:
    """Run a twin whose noise repeats, with its files in `folder`."""
    ready_file = folder / "ready.json"
    command = [sys.executable, "-m", "hardware_sim", "--world", "still", "--ready-file", str(ready_file), *options]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + START_S
        while not ready_file.exists():
            assert process.poll() is None, "the twin has ended"
            assert time.monotonic() < deadline, "the twin did not get ready"
            time.sleep(0.05)
        yield Twin(json.loads(ready_file.read_text()))
    finally:
        process.terminate()
        process.wait(10)
