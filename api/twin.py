"""The twin as a process of its own: start it, wait until it answers, ask it for the truth, end it."""

import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from api.errors import TwinGone, UsageError
from api.modules import module_command

START_S = 60.0  # a large specimen is generated or read before the twin answers
HTTP_S = 30.0


@dataclass(frozen=True)
class World:
    """The world behind a twin, which tells the truth over HTTP; each question may raise `TwinGone`."""

    url: str

    def exposures(self) -> list[dict[str, float]]:
        """Where the scanner really was at each exposure: `number`, `x_um`, `y_um`."""
        found: list[dict[str, float]] = json.loads(self._ask("/exposures")[0])["exposures"]
        return found

    def specimen(self) -> tuple[NDArray[np.float32], float]:
        """The true specimen (y, x) in 0..1, and its pixel size in um; pixel (0, 0) lies at the scanner's origin."""
        png, headers = self._ask("/specimen")
        image = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), dtype=np.float32)
        return image / np.float32(65535), float(headers["X-Pixel-Size-Um"])

    def now_s(self) -> float:
        """The time in the world."""
        return float(json.loads(self._ask("/truth")[0])["time_s"])

    def faults(self) -> Any:
        """What was injected, and when."""
        return json.loads(self._ask("/faults")[0])

    def fault_kinds(self) -> Any:
        """By device, which faults there are, with their parameters."""
        return json.loads(self._ask("/faults/kinds")[0])

    def arm(self, fault: dict[str, Any]) -> Any:
        """Let a fault befall a device; it, with all its parameters.

        Raises:
            UsageError: there is no such fault.
        """
        try:
            return json.loads(self._ask("/faults", json.dumps(fault).encode())[0])
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise UsageError(json.load(refusal)["error"]) from refusal

    def _ask(self, path: str, body: bytes | None = None) -> tuple[bytes, Any]:
        """Text and head of an answer.

        Raises:
            HTTPError: the twin refuses. TwinGone
        """
        try:
            with urllib.request.urlopen(self.url + path, body, HTTP_S) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError:
            raise
        except (OSError, HTTPException) as error:
            raise TwinGone(f"the twin does not answer: {getattr(error, 'reason', error)}") from error


@dataclass(frozen=True)
class Twin:
    """A running twin."""

    rig: Path
    world: World
    specimen_um: tuple[float, float]  # width and height


@contextmanager
def running_twin(options: Sequence[str]) -> Iterator[Twin]:
    """Start `python -m hardware_sim` with `options`, and end it on leaving.

    Raises:
        UsageError: the twin refused its options; carries its own words.
        RuntimeError: it did not answer within `START_S`.
    """
    with tempfile.TemporaryDirectory(prefix="nanoraster-twin-") as folder:
        ready = Path(folder) / "ready.json"
        command = module_command("hardware_sim", *options, "--ready-file", str(ready), "--until-stdin-ends")
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for the scan, which still needs its rig to end safely
        )
        try:
            _wait_until_ready(process, ready)
            ends = json.loads(ready.read_text())
            width_um, height_um = ends["specimen"]["size_um"]
            yield Twin(Path(ends["rig"]), World(ends["world"]["url"]), (width_um, height_um))
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _wait_until_ready(process: subprocess.Popen[str], ready: Path) -> None:
    deadline = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None:
            said = (
                process.communicate()[1].strip().removeprefix("hardware_sim: ")
                or f"ended with code {process.returncode}"
            )
            raise UsageError(said) if process.returncode == 2 else RuntimeError(f"twin: {said}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"twin: not ready after {START_S:g} s")
        time.sleep(0.02)
