"""`check`: each device answers for itself; one that fails is told with its reason, the others are still tested."""

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.twin import Twin

Command = Callable[..., subprocess.CompletedProcess[str]]
DEVICES = ["scanner", "focus", "camera", "force"]


def truth(twin: Twin) -> dict[str, Any]:
    with urllib.request.urlopen(twin.world.url + "/truth", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_says_what_each_device_answers_and_moves_nothing(nanoraster: Command, twin: Twin) -> None:
    before = truth(twin)
    finished = nanoraster("check", "--rig", twin.rig)
    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines()]
    assert [row[0] for row in rows][:4] == DEVICES
    assert all(row[2] == "ok" for row in rows)
    after = truth(twin)
    assert after["reported_um"] == pytest.approx(before["reported_um"], abs=1e-9)
    assert after["focus_um"] == before["focus_um"]


def test_moves_a_little_and_comes_back_when_told_to(nanoraster: Command, twin: Twin) -> None:
    before = truth(twin)
    finished = nanoraster("check", "--rig", twin.rig, "--move", "--json")
    assert finished.returncode == 0, finished.stderr
    found = {device["device"]: device["found"] for device in json.loads(finished.stdout)["devices"]}
    assert "x went 1 um and back" in found["scanner"]
    assert "probe retracted" in found["scanner"]
    assert "z went 10 um and back" in found["focus"]
    after = truth(twin)
    assert after["reported_um"][:2] == pytest.approx(before["reported_um"][:2], abs=0.01)  # settled within 5 nm
    assert after["focus_um"] == pytest.approx(before["focus_um"], abs=5.0)  # the focus drive's own repeatability


def test_a_device_that_fails_is_told_with_its_reason_and_the_others_are_tested(
    nanoraster: Command, twin: Twin, tmp_path: Path
) -> None:
    rig = tmp_path / "rig.toml"
    lines = twin.rig.read_text().splitlines()
    url = next(place for place, line in enumerate(lines) if line == "[devices.force]") + 2
    lines[url] = 'url = "socket://127.0.0.1:9"'
    rig.write_text("\n".join(lines))
    finished = nanoraster("check", "--rig", rig, "--json")
    assert finished.returncode == 1
    assert finished.stderr.startswith("nanoraster: force: socket://127.0.0.1:9")
    assert len(finished.stderr.splitlines()) == 1
    told = json.loads(finished.stdout)
    assert told["ok"] is False
    assert {device["device"]: device["ok"] for device in told["devices"]}["force"] is False
    assert all(device["ok"] for device in told["devices"] if device["device"] != "force")


def test_a_camera_of_another_shape_than_the_calibration_fails(nanoraster: Command, twin: Twin, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text(twin.rig.read_text().replace("frame_shape_px = [512, 512]", "frame_shape_px = [256, 512]"))
    finished = nanoraster("check", "--rig", rig)
    assert finished.returncode == 1
    assert "camera: its frames are [512, 512], calibration.frame_shape_px says [256, 512]" in finished.stderr
