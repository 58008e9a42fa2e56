"""One user of a rig: across processes, users, a private `/tmp`, and ways to write an address."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from devices import machine_lock
from devices.rig import RigSettings
from devices.rig_lock import RigInUse, holding

RIG = """
name = "bench"
calibration = {{ pixel_size_um = 0.02, frame_shape_px = [2, 2] }}
[devices.scanner]
{scanner}
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
"""
HOLD = """
import encodings.idna, os, subprocess, sys  # all of it: another user may not read where Python lies
from devices.rig import RigSettings
from devices.rig_lock import RigInUse, holding
exec(sys.argv[2])
try:
    with holding(RigSettings.from_toml(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except RigInUse as error:
    print(error, flush=True)
"""
OWN_TMP = ("mount", "-t", "tmpfs", "tmpfs", "/tmp")
APART = ("unshare", "--user", "--map-root-user", "--mount")
AS_NOBODY = "os.setuid(65534)"


def can_have_its_own_tmp() -> bool:
    """Whether the machine lets us do what `PrivateTmp` does."""
    return sys.platform == "linux" and subprocess.run([*APART, *OWN_TMP], capture_output=True).returncode == 0


def controller(host: str, port: int = 50123) -> str:
    return RIG.format(scanner=f'driver = "pi_gcs"\nhost = "{host}"\nport = {port}\naxes = {{ x = "1" }}')


def serial(url: str | Path) -> str:
    return RIG.format(scanner=f'driver = "esp301"\nurl = "{url}"\nlimits_um = [0, 10]')


@contextmanager
def another(rig: str, first: str = "", before: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """Another process that wants the rig, once it has done something else; its number and what it says."""
    command = [*before, sys.executable, "-c", HOLD, rig, first]
    home = Path(__file__).parents[2]
    with subprocess.Popen(command, text=True, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGKILL)


def refusal(rig: str) -> str | None:
    try:
        with holding(RigSettings.from_toml(rig)):
            return None
    except RigInUse as error:
        return str(error)


@pytest.fixture(params=[True, False], ids=["name", "file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """How this machine locks, and how one without abstract names does."""
    monkeypatch.setattr(machine_lock, "ABSTRACT_NAMES", machine_lock.ABSTRACT_NAMES and request.param)
    monkeypatch.setattr(machine_lock, "FILES", tmp_path)


@pytest.mark.usefixtures("way")
def test_the_second_is_told_who_has_it_however_often_it_asks() -> None:
    rig = controller("192.0.2.7")
    with holding(RigSettings.from_toml(rig)):
        assert {refusal(rig) for _ in range(300)} == {f"rig bench: process {os.getpid()} uses it"}
    assert refusal(rig) is None


def test_it_ends_with_its_process() -> None:
    rig = controller("192.0.2.7")
    with another(rig) as (pid, said):
        assert said == "held"
        assert refusal(rig) == f"rig bench: process {pid} uses it"
    assert refusal(rig) is None


@pytest.mark.skipif(not can_have_its_own_tmp(), reason="nobody may mount a /tmp of its own here")
def test_a_process_with_a_tmp_of_its_own_has_it_for_all() -> None:
    rig = controller("192.0.2.7")
    with another(rig, f"subprocess.run({OWN_TMP}, check=True)", APART) as (pid, said):
        assert said == "held"
        assert refusal(rig) == f"rig bench: process {pid} uses it"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_is_told_as_well() -> None:
    rig = controller("192.0.2.7")
    with holding(RigSettings.from_toml(rig)), another(rig, AS_NOBODY) as (_, said):
        assert said == f"rig bench: process {os.getpid()} uses it"
    with another(rig, AS_NOBODY) as (pid, said):
        assert said == "held"
        assert refusal(rig) == f"rig bench: process {pid} uses it"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("spelling", ["127.0.0.1", "LOCALHOST.", "127.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_another_spelling_of_a_host_is_the_same_controller(spelling: str) -> None:
    with holding(RigSettings.from_toml(controller("localhost"))):
        assert refusal(controller(spelling)) is not None
        assert refusal(
            serial(f"socket://{spelling}:50123" if spelling.count(":") < 2 else f"socket://[{spelling}]:50123")
        )
        assert refusal(controller(spelling, 50124)) is None
        assert refusal(controller("192.0.2.7")) is None


def test_a_host_that_nobody_knows_goes_by_its_name() -> None:
    with holding(RigSettings.from_toml(controller("stage.invalid"))):
        assert refusal(controller("Stage.invalid")) is not None
        assert refusal(controller("focus.invalid")) is None


def test_a_link_to_a_serial_device_is_the_device(tmp_path: Path) -> None:
    with ExitStack() as lines:
        devices = []
        for _ in range(2):
            ours, theirs = pty.openpty()
            lines.callback(os.close, ours)
            lines.callback(os.close, theirs)
            devices.append(os.ttyname(theirs))
        link = tmp_path / "usb-Newport"
        link.symlink_to(devices[0])
        with holding(RigSettings.from_toml(serial(devices[0]))):
            assert refusal(serial(link)) is not None
            assert refusal(serial(devices[1])) is None
