"""What a rig promises as a whole, asked of the twin's own rig file."""

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devices.errors import DeviceLost, DeviceRejected, Stopped
from devices.rig import Rig, RigFileError, RigSettings, open_rig
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import POSITIONERS

BACKENDS = {backend.name: backend for backend in POSITIONERS}
RETRACTED_UM = 0.01
CREEP_UM = 0.5  # of a piezo whose loop was opened just now; the target is 40 um away


@pytest.fixture(scope="module")
def rig(bench: Bench) -> Iterator[Rig]:
    with open_rig(RigSettings.load(bench.twin.rig_file)) as rig:
        yield rig


@contextmanager
def told(bench: Bench, backend: str, order: str, and_back: str) -> Iterator[None]:
    """Change something at a controller, past its driver, for a while."""
    BACKENDS[backend].tell(bench, order)
    try:
        yield
    finally:
        BACKENDS[backend].tell(bench, and_back)


def test_opening_and_closing_a_rig_moves_nothing(bench: Bench, rig: Rig) -> None:
    rig.scanner.move_to({"x": 7.0, "y": 8.0, "z": 0.5})
    before = bench.truth()
    open_rig(RigSettings.load(bench.twin.rig_file)).close()
    after = bench.truth()
    assert (after["scanner_um"], after["focus_um"]) == (before["scanner_um"], before["focus_um"])


def test_a_servo_that_is_off_is_told_and_left_off(bench: Bench, rig: Rig) -> None:
    with told(bench, "E-727", "SVO 1 0", "SVO 1 1"):
        before = bench.truth()["scanner_um"]
        with pytest.raises(DeviceRejected, match="servo") as refused:
            rig.scanner.move_to({"x": 50.0})
        assert refused.value.code == 5
        assert bench.truth()["scanner_um"] == pytest.approx(before, abs=CREEP_UM)


def test_a_motor_that_is_off_is_told_and_left_off(bench: Bench, rig: Rig) -> None:
    assert rig.focus is not None
    with told(bench, "ESP301-socket", "1MF", "1MO"):
        before = bench.truth()["focus_um"]
        with pytest.raises(DeviceRejected) as refused:
            rig.focus.move_to({"z": 500.0})
        assert refused.value.code == 113
        assert bench.truth()["focus_um"] == before


def test_the_frame_number_is_the_world_s(rig: Rig) -> None:
    with open_rig(rig.settings) as another:
        first, between, last = rig.camera.snap(), another.camera.snap(), rig.camera.snap()
    assert [between.number - first.number, last.number - first.number] == [1, 2]


def test_leaving_a_rig_retracts_the_probe_and_nothing_else(bench: Bench, rig: Rig) -> None:
    rig.scanner.move_to({"x": 33.0, "y": 44.0, "z": 5.0})
    before = bench.truth()["scanner_um"]
    with rig.safe_on_exit():
        pass
    after = bench.truth()["scanner_um"]
    assert after[2] == pytest.approx(0.0, abs=RETRACTED_UM)
    assert after[:2] == before[:2]


def test_leaving_by_an_error_retracts_too_and_tells_that_error(bench: Bench, rig: Rig) -> None:
    rig.scanner.move_to({"z": 5.0})
    with pytest.raises(KeyboardInterrupt), rig.safe_on_exit():
        raise KeyboardInterrupt
    assert bench.truth()["scanner_um"][2] == pytest.approx(0.0, abs=RETRACTED_UM)


@pytest.mark.parametrize("fault", ["silence", "late_answer", "garbage", "partial_line", "closed_socket"])
def test_a_wire_that_fails_once_does_not_keep_the_probe_down(bench: Bench, rig: Rig, fault: str) -> None:
    rig.scanner.move_to({"z": 5.0})
    bench.arm("scanner", fault)
    rig.make_safe()
    assert bench.truth()["scanner_um"][2] == pytest.approx(0.0, abs=RETRACTED_UM), fault


def test_what_cannot_be_retracted_is_told_and_the_rest_still_stopped(bench: Bench, rig: Rig) -> None:
    assert rig.focus is not None
    rig.focus.move_to({"z": 0.0})
    rig.scanner.move_to({"z": 5.0})
    with told(bench, "E-727", "SVO 3 0", "SVO 3 1"):
        rig.focus.start_move({"z": 90_000.0})
        with pytest.raises(DeviceRejected, match="servo"), rig.safe_on_exit():
            pass
        with pytest.raises(Stopped):
            rig.focus.wait_settled()
    rig.focus.move_to({"z": 0.0})
    rig.make_safe()


def test_a_device_that_does_not_open_closes_those_before_it(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"socket://127.0.0.1:{nobody.getsockname()[1]}"
    text = bench.twin.rig_file.read_text().replace(bench.ready["force"]["url"], url)
    threads = threading.active_count()
    with pytest.raises(DeviceLost, match=f"force: {url}"):
        open_rig(RigSettings.from_toml(text))
    gc.collect()  # an open socket would warn, and warnings are errors
    assert threading.active_count() == threads


def test_a_camera_of_another_shape_than_calibrated_is_refused(bench: Bench) -> None:
    text = bench.twin.rig_file.read_text().replace("[512, 512]", "[512, 640]")
    with pytest.raises(RigFileError, match=r"frame_shape_px = \[512, 640\]: the camera's frames are \[512, 512\]"):
        open_rig(RigSettings.from_toml(text))
