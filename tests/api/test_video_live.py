"""`nanoraster video --rig` against the twin's video server, while a test moves the stage."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
import zarr

from api.twin import Twin, running_twin
from devices.rig import RigSettings, open_device
from tests.api.conftest import NANORASTER, told

PIXEL_NM = 20.0
STEP_UM = 0.06  # between two looks at the stage; 3 px, less than what tears a picture
PATIENCE_S = 60.0
Command = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def sem(natural_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A twin whose beam is strong enough for a picture at TV speed, and a rig file that watches it."""
    folder = tmp_path_factory.mktemp("sem")
    (folder / "world.toml").write_text(
        'base = "still"\n[electron]\nbeam_current_pa = 800.0\nframe_shape_px = [192, 256]\n'
    )
    options = ["--world", str(folder / "world.toml"), "--specimen", str(natural_image), "--pixel-nm", str(PIXEL_NM)]
    with running_twin([*options, "--seed", "4"]) as twin:
        rig = folder / "rig.toml"
        rig.write_text(re.sub(r"/video\.mjpg", "/video.mjpg?cycle=tv", twin.rig.read_text()))
        yield Twin(rig, twin.world, twin.specimen_um)


def test_a_moving_stage_is_followed_into_a_run_and_a_mosaic(sem: Twin, nanoraster: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [str(NANORASTER), "video", "--rig", str(sem.rig), "--out", str(run)]
    with closing(open_device("scanner", RigSettings.load(sem.rig).devices.scanner)) as scanner:
        scanner.move_to({"x": 8.0, "y": 10.0})
        following = subprocess.Popen(
            [*command, "--pixel-nm", str(PIXEL_NM), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while not (run / "run.json").exists():
            assert following.poll() is None, following.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        for x_um in np.arange(8.0, 20.0, STEP_UM):
            scanner.move_to({"x": float(x_um)})
            time.sleep(0.04)  # as slow as a hand: a step takes the time of a picture
    time.sleep(0.3)  # some frames with the stage at rest
    following.send_signal(signal.SIGINT)
    output, said = following.communicate(timeout=PATIENCE_S)
    assert following.returncode == 0, said
    summary = json.loads(output)["summary"]
    assert summary["outcome"] == "completed"
    assert summary["tiles"]["ok"] >= 4
    assert "tile 0: at" in said

    raw = zarr.open_array(run / "mosaic.zarr" / "raw" / "0", mode="r")[:]
    specimen, pixel_um = sem.world.specimen()
    assert pixel_um == pytest.approx(PIXEL_NM / 1000)
    found = []
    for left in (120, raw.shape[1] - 220):  # of both ends, where in the specimen they lie
        patch = np.asarray(raw[60:140, left : left + 100], np.float32)
        match = cv2.matchTemplate(cv2.GaussianBlur(specimen, (0, 0), 1.0), patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(match)
        assert best > 0.5
        found.append((x - left, y - 60))
    assert np.ptp(found, axis=0).max() <= 2  # whole pixels; a moving stage shears a picture by a px or so

    again = told(nanoraster("reconstruct", run, "--out", tmp_path / "again", "--json"))
    assert again["summary"]["tiles"]["ok"] == summary["tiles"]["ok"]
    assert (tmp_path / "again" / "positions.csv").read_text() == (run / "positions.csv").read_text()
    assert "finished" in nanoraster("resume", run).stdout


def test_what_a_live_video_needs_is_asked_for(sem: Twin, nanoraster: Command, tmp_path: Path) -> None:
    for options, said in [
        (["--rig", sem.rig], "--pixel-nm is needed with --rig"),
        ([], "give FILE..., or --rig"),
        (["a.avi", "--rig", sem.rig], "give FILE..., or --rig"),
        (["--rig", sem.rig, "--pixel-nm", 20, "--crop", "0,0,9999,9999"], "the crop reaches beyond it"),
    ]:
        refused = nanoraster("video", *options, "--out", tmp_path / "out")
        assert refused.returncode in (1, 2)
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert not (tmp_path / "out").exists()
