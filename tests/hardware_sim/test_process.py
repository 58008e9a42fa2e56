"""Starting and ending the twin, and saying no."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hardware_sim.errors import UsageError
from hardware_sim.settings import load_world
from tests.hardware_sim.conftest import StartTwin, TwinProcess

COARSE = ("--pixel-nm", "200")


def refused(*arguments: str) -> str:
    """Run a twin that must refuse its arguments; returns what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "hardware_sim", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pixel-nm", "-3"), "--pixel-nm: -3.0"),
        (("--pixel-nm", "wide"), "--pixel-nm"),
        (("--pixel-nm", "5000"), "--pixel-nm: 5000.0 is outside 0..1562.5"),
        (("--world", "moon"), "--world: 'moon'"),
        (("--specimen", "cheese"), "--specimen: 'cheese'"),
        (("--faults", "storm"), "--faults: 'storm'"),
        (("--speed", "0"), "--speed: 0.0 is outside 0.01..1000.0"),
        (("--seed", "-1"), "--seed: -1"),
        (("--ready-file", "/nowhere/ready.json"), "--ready-file"),
        (("--bogus",), "--bogus"),
    ],
)
def test_refuses_bad_arguments_in_one_line(arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(*arguments)


def test_refuses_what_is_no_image_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert f"--specimen: {path} cannot be read as an image" in refused("--specimen", str(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[mechanics]\nfriction = 1", "mechanics.friction = 1"),
        ("[camera]\nframe_shape_px = [4, 512]", "camera.frame_shape_px.0 = 4"),
        ("gravity = 9.81", "gravity = 9.81"),
        ("base = 'moon'", "base: 'moon'"),
        ("= 3", "cannot be read as TOML"),
    ],
)
def test_refuses_a_world_with_other_keys_or_values(world_file: Callable[[str], str], text: str, says: str) -> None:
    with pytest.raises(UsageError, match="--world") as caught:
        load_world(world_file(text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_world_file_changes_only_what_it_names(world_file: Callable[[str], str]) -> None:
    world = load_world(world_file('base = "still"\n[mechanics]\nposition_error_px_rms = 0\n'))
    still = load_world("still")
    assert world.mechanics == still.mechanics.model_copy(update={"position_error_px_rms": 0.0})
    assert (world.camera, world.randomness) == (still.camera, "keyed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_folder(start_twin: StartTwin, number: signal.Signals) -> None:
    twin = start_twin(*COARSE)
    folder = Path(twin.ready["rig"]).parent
    assert folder.is_dir()
    assert twin.process.pid == twin.ready["pid"]
    began_s = time.monotonic()
    os.kill(twin.process.pid, number)
    assert twin.process.wait(timeout=5) == 0
    assert time.monotonic() - began_s < 10.0
    assert not folder.exists()


def test_a_signal_ends_it_with_connections_open(start_twin: StartTwin) -> None:
    from urllib.request import urlopen

    twin = start_twin(*COARSE)
    with urlopen(twin.ready["video"]["url"], timeout=5) as video:
        assert video.read(100)
        assert twin.stop() == 0


def test_a_ready_file_appears_whole_with_its_companions(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    ready_file.write_text("left by another twin")
    command = [sys.executable, "-m", "hardware_sim", *COARSE, "--ready-file", str(ready_file)]
    twin = TwinProcess(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), {})
    deadline_s = time.monotonic() + 20
    while not ready_file.exists() or ready_file.read_text() == "left by another twin":
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    ready = json.loads(ready_file.read_text())
    assert ready["pid"] == twin.process.pid
    assert ready["rig"] == str(tmp_path / "ready.rig.toml")
    assert ready["camera"] == {"protocol": "mmcore", "cfg": str(tmp_path / "ready.camera.cfg")}
    assert twin.stop() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ready.camera.cfg", "ready.rig.toml"]


def test_world_time_runs_at_the_speed_asked_for(start_twin: StartTwin) -> None:
    twin = start_twin(*COARSE, "--speed", "20")
    began_s, before_s = time.monotonic(), twin.get("/truth")["time_s"]
    time.sleep(0.2)
    world_s, real_s = twin.get("/truth")["time_s"] - before_s, time.monotonic() - began_s
    assert 10 * real_s < world_s < 40 * real_s  # a busy machine answers late


def test_an_idle_twin_uses_next_to_no_time(start_twin: StartTwin) -> None:
    twin = start_twin(*COARSE)
    stat = Path(f"/proc/{twin.process.pid}/stat")
    if not stat.exists():
        pytest.skip("this system has no /proc to read processor times from")

    def used_ticks() -> int:
        return sum(int(field) for field in stat.read_text().rsplit(")", 1)[1].split()[11:13])

    before = used_ticks()
    time.sleep(1.0)
    assert used_ticks() - before <= 0.1 * os.sysconf("SC_CLK_TCK")  # measured: none


def test_it_can_end_with_whoever_started_it() -> None:
    command = [sys.executable, "-m", "hardware_sim", *COARSE, "--until-stdin-ends"]
    twin = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert twin.stdout is not None
    ready = json.loads(twin.stdout.readline())
    assert ready["specimen"] == {"size_um": [100.0, 100.0], "pixel_um": 0.2}
    twin.communicate(timeout=10)  # closes its standard input
    assert twin.returncode == 0
