"""What docs/writing_a_driver.md says of its example, beyond what every positioner promises; and a scan with it."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli import app
from devices.drivers import driver_names
from devices.errors import DeviceRejected, DeviceTimeout, OutOfRange, ProtocolError, Stopped
from devices.rig import RigFileError, RigSettings, open_rig
from tests.conformance.camera_backends import DEMO_CFG
from tests.docs.documents import DOCS, blocks
from tests.docs.xy20_bench import PeerBench, open_xy20

RIG = next(block for block in blocks(DOCS / "writing_a_driver.md", "toml") if "[devices.scanner]" in block)


@pytest.fixture
def stage(bench: PeerBench) -> Iterator[Any]:
    stage = open_xy20(bench, settle_s=0.2)
    stage.move_to({"x": 5_000.0, "y": 5_000.0})
    yield stage
    stage.close()


@pytest.fixture
def rig_file(bench: PeerBench, tmp_path: Path) -> Path:
    """The rig file of the document, with the peer's address and a camera that is there."""
    path = tmp_path / "rig.toml"
    path.write_text(RIG.replace("/dev/ttyUSB1", bench.peer.url).replace("camera.cfg", str(DEMO_CFG)))
    return path


def test_it_is_found_by_its_entry_point(rig_file: Path) -> None:
    assert "xy20" in driver_names()
    assert RigSettings.load(rig_file).devices.scanner.kind == "positioner"


def test_a_wrong_key_of_its_table_is_named(rig_file: Path) -> None:
    rig_file.write_text(rig_file.read_text().replace('driver = "xy20"', 'driver = "xy20"\nbaudrate = 0\nspeed = 3'))
    with pytest.raises(RigFileError) as refused:
        RigSettings.load(rig_file)
    assert "devices.scanner.baudrate = 0" in str(refused.value)
    assert "devices.scanner.speed: unknown key" in str(refused.value)


def test_a_rig_opens_with_it_and_keeps_to_the_rig_file_s_limits(bench: PeerBench, rig_file: Path) -> None:
    with open_rig(RigSettings.load(rig_file)) as rig:
        rig.scanner.move_to({"x": 1_000.0, "y": 2_000.0})
        assert bench.truth()["scanner_um"][:2] == [1_000.0, 2_000.0]
        heard = len(bench.peer.heard)
        with pytest.raises(OutOfRange, match=r"scanner: x = 10001 um is outside 0\.\.10000 um"):
            rig.scanner.move_to({"x": 10_001.0, "y": 0.0})
        assert len(bench.peer.heard) == heard


def test_a_refusal_quotes_the_manual(bench: PeerBench, stage: Any) -> None:
    bench.peer.stage.motors_on = False
    try:
        with pytest.raises(DeviceRejected, match="device: GO X60000: error 3, motors off") as refused:
            stage.move_to({"x": 6_000.0})
    finally:
        bench.peer.stage.motors_on = True
    assert refused.value.code == 3


def test_a_stalled_axis_is_told(bench: PeerBench, stage: Any) -> None:
    stage.start_move({"x": 15_000.0})
    bench.peer.stage.stall()
    with pytest.raises(DeviceRejected, match="stalled"):
        stage.wait_settled()


def test_a_stop_at_the_keypad_is_no_arrival(bench: PeerBench, stage: Any) -> None:
    stage.start_move({"x": 5_800.0})
    bench.peer.stage.answer("HALT")
    with pytest.raises(DeviceTimeout, match=r"not settled at x = 5800 um after 0\.4 s"):
        stage.wait_settled()


def test_home_is_found_and_a_stop_ends_the_search(bench: PeerBench, stage: Any) -> None:
    stage.home()
    assert bench.truth()["scanner_um"] == [0.0, 0.0, 0.0]
    stage.move_to({"x": 19_000.0})
    raised: list[Exception] = []

    def search() -> None:
        try:
            stage.home()
        except Stopped as stopped:
            raised.append(stopped)

    searching = threading.Thread(target=search)
    searching.start()
    bench.until(lambda: bench.truth()["scanner_um"][0] < 18_000.0)
    stage.stop()
    searching.join()
    assert raised
    assert bench.truth()["scanner_um"][0] > 0.0


@pytest.mark.parametrize("answer", ["", "12", "1 2 3", "1.5 2", "nan 0"])
def test_an_answer_that_the_manual_does_not_allow_is_refused(
    bench: PeerBench, stage: Any, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    true_answer = bench.peer.stage.answer
    monkeypatch.setattr(bench.peer.stage, "answer", lambda line: answer if line == "POS?" else true_answer(line))
    with pytest.raises(ProtocolError, match=re.escape(f"POS? answered {answer!r}")):
        stage.read_position_um()


def test_check_plan_and_scan_take_it(
    bench: PeerBench, rig_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("region = { x_um = [1000.0, 1400.0], y_um = [2000.0, 2400.0] }\ncamera = { exposure_ms = 5 }\n")
    app(["check", "--rig", str(rig_file), "--move"], standalone_mode=False)
    app(["plan", str(plan), "--rig", str(rig_file)], standalone_mode=False)
    app(["scan", str(plan), "--rig", str(rig_file), "--out", str(tmp_path / "run")], standalone_mode=False)
    said = capsys.readouterr().out
    assert re.search(r"scanner +xy20 +ok .* x went 10 um and back, y went 10 um and back", said)
    assert "completed: 4 of 4 tiles" in said
