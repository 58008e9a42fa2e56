"""`nanoraster calibrate` against the twin: what the world has must come out, and stand in the rig file when asked."""

import json
import os
import signal
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from acquisition.calibrate_force import SensitivityFit
from acquisition.calibrate_stage import SettleFit
from acquisition.calibration import Findings, calibrated
from api.calibrate import Calibrated
from api.twin import Twin, running_twin
from devices.rig import RigSettings
from tests.api.conftest import NANORASTER

ROTATION_DEG, SHEAR_DEG = 1.5, -0.5
# small frames, for speed; with them the twin's pixels of landing error would take a hundred times as many moves
WORLD = f"""
[camera]
frame_shape_px = [160, 160]
rotation_deg = {ROTATION_DEG}
shear_deg = {SHEAR_DEG}
[mechanics]
position_error_px_rms = 0.3
"""

PATIENCE_S = 100.0  # a busy machine; it takes ten to the contact

Nanoraster = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def turned_twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    world = tmp_path_factory.mktemp("world") / "turned.toml"
    world.write_text(WORLD)
    with running_twin(
        ["--world", str(world), "--specimen", "alloy", "--pixel-nm", "50", "--seed", "3", "--speed", "4"]
    ) as twin:
        yield twin


@pytest.fixture
def wrong_rig(turned_twin: Twin, tmp_path: Path) -> Path:
    """The twin's rig file with 8 % and 1.5 degrees of error, and a cantilever 10 % off."""
    lines = turned_twin.rig.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("camera_to_stage_um = [[")]
    assert len(kept) == len(lines) - 1  # the twin's own file knows how its camera is turned
    text = "\n".join(kept).replace("sensitivity_nm_per_v = 50.0", "sensitivity_nm_per_v = 55.0")
    path = tmp_path / "rig.toml"
    path.write_text(text.replace("pixel_size_um = 0.05\n", "pixel_size_um = 0.054  # a guess\n"))
    assert "# a guess" in path.read_text()
    return path


def eventually(condition: Callable[[], Any], within_s: float) -> bool:
    """Wait until it is so."""
    give_up_s = time.monotonic() + within_s
    while not (so := condition()) and time.monotonic() < give_up_s:
        time.sleep(0.005)
    return bool(so)


def truth(twin: Twin) -> dict[str, Any]:
    with urllib.request.urlopen(f"{twin.world.url}/truth", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_finds_what_the_world_has_and_writes_it_into_the_rig_file(
    nanoraster: Nanoraster, turned_twin: Twin, wrong_rig: Path
) -> None:
    before = wrong_rig.read_text()
    began_um = truth(turned_twin)["reported_um"]
    finished = nanoraster("calibrate", "--rig", wrong_rig, "--at", "40,40", "--write", "--json")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.startswith("moves the scanner within x ")
    found = json.loads(finished.stdout)
    assert found["calibration"]["pixel_size_um"] == pytest.approx(0.05, rel=2e-3)
    assert found["rotation_deg"] == pytest.approx(ROTATION_DEG, abs=0.05)
    assert found["shear_deg"] == pytest.approx(SHEAR_DEG, abs=0.1)  # twice as uncertain as the rotation
    assert found["sensitivity_nm_per_v"] == pytest.approx(50.0, rel=0.02)
    assert found["calibration"]["backlash_um"]["x"] == pytest.approx(0.3, abs=0.025)  # half a pixel
    assert found["not_measured"] == {}
    assert found["warnings"] == []
    written = tomllib.loads(wrong_rig.read_text())
    assert written["calibration"]["camera_to_stage_um"][0] == pytest.approx(
        found["calibration"]["camera_to_stage_um"][0], rel=1e-6
    )
    assert written["devices"]["force"]["sensitivity_nm_per_v"] == pytest.approx(found["sensitivity_nm_per_v"], rel=1e-6)
    assert "# a guess" in wrong_rig.read_text()
    assert Path(found["copy"]).read_text() == before
    left = truth(turned_twin)
    assert left["reported_um"] == pytest.approx(began_um, abs=0.01)
    assert not left["probe_contact"]


def test_a_calibration_that_is_killed_with_the_probe_down_leaves_it_retracted(
    turned_twin: Twin, wrong_rig: Path
) -> None:
    command = [str(NANORASTER), "calibrate", "--rig", str(wrong_rig), "--at", "40,40"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as calibrating:
        assert eventually(lambda: truth(turned_twin)["probe_contact"], PATIENCE_S)
        os.killpg(calibrating.pid, signal.SIGKILL)
        assert calibrating.stderr is not None
        said = calibrating.stderr.read()  # to its end: the guardian has ended, too
    assert b"the probe is retracted, because the service is gone" in said
    left = truth(turned_twin)
    assert not left["probe_contact"]
    assert left["scanner_um"][2] < 0.1


def test_the_table_shows_old_new_and_how_sure_that_is(wrong_rig: Path) -> None:
    settings = RigSettings.load(wrong_rig)
    found = Findings(
        datetime.now(UTC),
        settling={"x": SettleFit(0.0171, 1e-4), "y": SettleFit(0.0172, 1e-4)},
        sensitivity=SensitivityFit(50.2, 0.21, 8.0, 80),
        not_measured={"camera and backlash": "too dark"},
    )
    made = Calibrated(wrong_rig, settings, calibrated(settings.calibration, found), found)
    assert [line.split() for line in made.table()[1:4]] == [
        ["settling", "x,", "ms", "-", "17.1", "0.1"],
        ["settling", "y,", "ms", "-", "17.2", "0.1"],
        ["sensitivity,", "nm/V", "55", "50.2", "0.21"],
    ]
    assert made.table()[4:] == ["camera and backlash not measured: too dark", "not written; --write does"]
    assert not made.is_whole
    spoilt = replace(made, not_written="the disk is full")
    assert spoilt.table()[:5] == made.table()[:5]
    assert spoilt.table()[5] == "not written: the disk is full"


def test_a_rig_file_that_cannot_be_edited_is_told_before_anything_moves(
    nanoraster: Nanoraster, turned_twin: Twin, wrong_rig: Path
) -> None:
    text = wrong_rig.read_text()
    wrong_rig.write_text(text.replace("[calibration]\n", "[calibration.uncertainty]\n[calibration]\n"))
    moves = truth(turned_twin)["reported_um"]
    finished = nanoraster("calibrate", "--rig", wrong_rig, "--at", "40,40", "--no-force", "--write")
    assert finished.returncode == 2
    assert "cannot be edited in place" in finished.stderr
    assert "moves the scanner" not in finished.stderr
    assert truth(turned_twin)["reported_um"] == pytest.approx(moves, abs=0.01)


@pytest.mark.parametrize(
    ("at", "line"),
    [("here", "nanoraster: --at here: should be X,Y in micrometre, like 50,40"), ("400,40", "x = 400 um is outside")],
)
def test_refuses_a_place_that_is_none(nanoraster: Nanoraster, wrong_rig: Path, at: str, line: str) -> None:
    finished = nanoraster("calibrate", "--rig", wrong_rig, "--at", at)
    assert finished.returncode in (1, 2)
    assert line in finished.stderr
    assert finished.stdout == ""
