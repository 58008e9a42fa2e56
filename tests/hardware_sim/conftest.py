"""Twins to talk to: processes of their own, started once and shared by all tests that do not stop them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

STARTS_WITHIN_S = 30.0


@dataclass
class TwinProcess:
    """A running `python -m hardware_sim` and what its ready line said."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    def get(self, path: str) -> Any:
        """Ask the world."""
        with urlopen(self.ready["world"]["url"] + path, timeout=10) as response:
            return json.load(response)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=5)
        finally:
            with suppress(OSError):
                self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()


StartTwin = Callable[..., TwinProcess]


@pytest.fixture(scope="session")
def start_twin() -> Iterator[StartTwin]:
    """Start twins by their arguments; those that still run at the end are stopped."""
    started: list[TwinProcess] = []

    def start(*arguments: str) -> TwinProcess:
        command = [sys.executable, "-m", "hardware_sim", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        twin = TwinProcess(process, json.loads(process.stdout.readline()))
        started.append(twin)
        return twin

    yield start
    for twin in started:
        twin.stop()


@pytest.fixture(scope="session")
def lab(start_twin: StartTwin) -> TwinProcess:
    """The world as it comes."""
    return start_twin("--seed", "7")


@pytest.fixture(scope="session")
def still(start_twin: StartTwin) -> TwinProcess:
    """A world without drift and sensor noise; coarse pixels, for speed of starting."""
    return start_twin("--world", "still", "--pixel-nm", "50", "--seed", "7")


@pytest.fixture(scope="session")
def still_again(start_twin: StartTwin) -> TwinProcess:
    """The same world once more."""
    return start_twin("--world", "still", "--pixel-nm", "50", "--seed", "7")


@pytest.fixture
def world_file(tmp_path: Path) -> Callable[[str], str]:
    """Write a world file and return its name."""

    def write(text: str) -> str:
        path = tmp_path / "world.toml"
        path.write_text(text)
        return str(path)

    return write
