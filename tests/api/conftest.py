"""The command line as a user has it, and a specimen that nobody generated with the twin in mind."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from api.twin import Twin, running_twin

NANORASTER = Path(sys.executable).parent / "nanoraster"


@pytest.fixture(scope="session")
def nanoraster() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one command to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(NANORASTER), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    return run


@pytest.fixture(scope="session")
def natural_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 bit, 1500 x 1300 px: grains of all sizes, with the 1/f spectrum of natural scenes."""
    random = np.random.default_rng(5)
    rows, columns = 1300, 1500
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    spectrum = np.fft.rfft2(random.standard_normal((rows, columns))) / np.maximum(frequency, 1 / rows)
    texture = np.fft.irfft2(spectrum, (rows, columns))
    scaled = np.clip((texture - texture.mean()) / (6 * texture.std()) + 0.5, 0, 1)
    path = tmp_path_factory.mktemp("specimen") / "natural.png"
    assert cv2.imwrite(str(path), np.round(scaled * 60000).astype(np.uint16))
    return path


@pytest.fixture(scope="session")
def twin(natural_image: Path) -> Iterator[Twin]:
    """A still world for scans that must come out the same twice."""
    options = ["--world", "still", "--specimen", str(natural_image), "--pixel-nm", "20", "--seed", "3"]
    with running_twin(options) as running:
        yield running


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    """A plan of 3 x 3 tiles."""
    path = tmp_path / "plan.toml"
    path.write_text("[region]\nx_um = [2.0, 26.0]\ny_um = [1.0, 24.0]\n[tiles]\noverlap = 0.15\n")
    return path


def told(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout of a command that went well."""
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found
