"""What the protocols promise, asked of every driver against the twin; what happened, the world tells."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mm_test_adapters
import numpy as np
import pytest
from device_twin import Twin

from devices.camera_mmcore import MmCamera
from devices.errors import DeviceLost, DeviceRejected, OutOfRange, Stopped
from devices.protocols import Camera, ForceSensor, Positioner
from devices.rig import Rig, RigFileError, RigSettings, open_rig
from devices.settings import MmCoreSettings

LANDING_UM = 0.5  # the twin's stage lands up to a few pixels of 20 nm beside what its sensor tells
NOISE_NN = 5.0  # 0.3 mV of detector noise are 0.63 nN; eight times that
PATIENCE_S = 5.0

POSITIONERS = {
    "scanner": ({"x": 30.0, "y": 40.0, "z": 2.0}, {"x": 31.0, "z": 1.0}),
    "focus": ({"z": 300.0}, {"z": 250.0}),
}


@pytest.fixture(scope="module")
def rig(twin: Twin) -> Iterator[Rig]:
    with open_rig(RigSettings.load(twin.rig_file)) as rig:
        yield rig


@pytest.fixture(params=POSITIONERS)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def positioner(rig: Rig, role: str) -> Positioner:
    positioner: Positioner = getattr(rig, role)
    return positioner


@pytest.fixture(scope="module", params=["twin", "demo"])
def camera(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Camera]:
    if request.param == "twin":
        yield rig.camera
        return
    camera = MmCamera("demo", MmCoreSettings(cfg=Path(mm_test_adapters.__file__).parent / "libs/MMConfig_demo.cfg"))
    yield camera
    camera.close()


@pytest.fixture
def force(rig: Rig) -> ForceSensor:
    assert rig.force is not None
    return rig.force


def tell_scanner(twin: Twin, line: str) -> None:
    """Talk to the controller past the driver, and wait until it has listened."""
    with socket.create_connection((twin.ready["scanner"]["host"], twin.ready["scanner"]["port"])) as wire:
        wire.sendall(f"{line}\nERR?\n".encode())
        assert wire.recv(10) in (b"0\n", b"10\n")


def tell_focus(twin: Twin, line: str) -> None:
    host, port = twin.ready["focus"]["url"].removeprefix("socket://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(f"{line}\r1MO?\r".encode())
        assert wire.recv(10)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that happens in the world."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_opening_and_closing_a_rig_moves_nothing(twin: Twin, rig: Rig) -> None:
    rig.scanner.move_to({"x": 7.0, "y": 8.0, "z": 0.5})
    before = twin.truth()
    open_rig(RigSettings.load(twin.rig_file)).close()
    after = twin.truth()
    assert after["scanner_um"] == before["scanner_um"]
    assert after["focus_um"] == before["focus_um"]


def test_goes_where_it_is_told(twin: Twin, positioner: Positioner, role: str) -> None:
    for targets in POSITIONERS[role]:
        positioner.move_to(targets)
        truth = twin.position_um(role)
        assert {axis: truth[axis] for axis in targets} == pytest.approx(targets, abs=LANDING_UM)


def test_an_axis_not_named_stays(twin: Twin, rig: Rig) -> None:
    rig.scanner.move_to({"x": 20.0, "y": 20.0})
    rig.scanner.move_to({"x": 25.0})
    assert twin.position_um("scanner")["y"] == pytest.approx(20.0, abs=LANDING_UM)


def test_reads_the_hardware_not_a_memory(twin: Twin, rig: Rig) -> None:
    tell_scanner(twin, "MOV 1 55 2 66")
    until(lambda: abs(twin.position_um("scanner")["y"] - 66) < LANDING_UM)
    assert rig.scanner.read_position_um()["x"] == pytest.approx(55.0, abs=LANDING_UM)


def test_begins_a_move_and_returns_before_it_ends(twin: Twin, rig: Rig) -> None:
    assert rig.focus is not None
    rig.focus.move_to({"z": 0.0})
    rig.focus.start_move({"z": 10_000.0})
    assert twin.position_um("focus")["z"] < 9_000.0
    rig.focus.wait_settled()
    assert twin.position_um("focus")["z"] == pytest.approx(10_000.0, abs=LANDING_UM)


@pytest.mark.parametrize("beyond_um", [-0.001, 1e6, float("nan"), float("inf")])
def test_out_of_range_moves_nothing(twin: Twin, positioner: Positioner, role: str, beyond_um: float) -> None:
    before = twin.position_um(role)
    targets = dict.fromkeys(positioner.axes, 5.0) | {"z": beyond_um}
    with pytest.raises(OutOfRange, match=role):
        positioner.move_to(targets)
    assert twin.position_um(role) == before


def test_nothing_to_wait_for_is_settled(twin: Twin, positioner: Positioner, role: str) -> None:
    positioner.move_to(POSITIONERS[role][0])
    before = twin.position_um(role)
    positioner.move_to({})
    positioner.wait_settled()
    assert twin.position_um(role) == before


def test_a_stop_from_another_thread_cuts_a_long_focus_move_short(twin: Twin, rig: Rig) -> None:
    assert rig.focus is not None
    rig.focus.move_to({"z": 0.0})
    refuse_to_arrive(twin, rig.focus, "focus", {"z": 90_000.0})


def test_a_stop_from_another_thread_cuts_a_long_scanner_move_short(twin: Twin, rig: Rig) -> None:
    rig.scanner.move_to({"x": 0.0})
    tell_scanner(twin, "VEL 1 20")  # 100 um take 5 s
    try:
        refuse_to_arrive(twin, rig.scanner, "scanner", {"x": 100.0})
    finally:
        tell_scanner(twin, "VEL 1 5000")


def refuse_to_arrive(twin: Twin, positioner: Positioner, role: str, far_um: dict[str, float]) -> None:
    """Begin a long move, stop it from another thread under way, and see that it neither ended nor goes on."""
    ((axis, target_um),) = far_um.items()

    def stop_under_way() -> None:
        until(lambda: twin.position_um(role)[axis] > 1.0)
        positioner.stop()

    stopper = threading.Thread(target=stop_under_way)
    stopper.start()
    with pytest.raises(Stopped, match=role):
        positioner.move_to(far_um)
    stopper.join()
    places: list[float] = [target_um]

    def stands_still() -> bool:
        places.append(twin.position_um(role)[axis])
        return places[-1] == places[-2]

    until(stands_still)
    assert 1.0 < places[-1] < target_um / 2
    positioner.move_to({axis: 0.0})
    assert twin.position_um(role)[axis] == pytest.approx(0.0, abs=LANDING_UM)


def test_a_servo_that_is_off_is_told_and_left_off(twin: Twin, rig: Rig) -> None:
    tell_scanner(twin, "SVO 1 0")
    before = twin.position_um("scanner")
    try:
        with pytest.raises(DeviceRejected, match="servo") as refused:
            rig.scanner.move_to({"x": 50.0})
        assert refused.value.code == 5
        assert twin.position_um("scanner") == before
    finally:
        tell_scanner(twin, "SVO 1 1")


def test_a_motor_that_is_off_is_told_and_left_off(twin: Twin, rig: Rig) -> None:
    assert rig.focus is not None
    tell_focus(twin, "1MF")
    before = twin.position_um("focus")
    try:
        with pytest.raises(DeviceRejected) as refused:
            rig.focus.move_to({"z": 500.0})
        assert refused.value.code == 113
        assert twin.position_um("focus") == before
    finally:
        tell_focus(twin, "1MO")


def test_a_camera_gives_new_frames_of_the_shape_it_says(camera: Camera) -> None:
    camera.set_exposure_s(0.01)
    frames = [camera.snap() for _ in range(3)]
    assert {frame.pixels.shape for frame in frames} == {camera.frame_shape}
    assert {frame.pixels.dtype for frame in frames} == {np.dtype(np.uint16)}
    assert np.diff([frame.number for frame in frames]).tolist() == [1, 1]


def test_a_camera_exposes_as_long_as_told(camera: Camera) -> None:
    camera.set_exposure_s(0.2)
    began = time.monotonic()
    camera.snap()
    assert time.monotonic() - began >= 0.2
    camera.set_exposure_s(0.01)


def test_a_camera_without_an_exposure_may_be_stopped(camera: Camera) -> None:
    camera.stop()
    assert camera.snap().pixels.shape == camera.frame_shape


def test_a_stop_ends_the_waiting_for_a_frame(camera: Camera) -> None:
    camera.set_exposure_s(1.0)
    stopper = threading.Timer(0.1, camera.stop)
    stopper.start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        camera.snap()
    assert time.monotonic() - began < 0.9
    stopper.join()
    camera.set_exposure_s(0.01)
    assert camera.snap().pixels.shape == camera.frame_shape


def test_the_frame_number_is_the_world_s(rig: Rig) -> None:
    with open_rig(rig.settings) as another:
        first, between, last = rig.camera.snap(), another.camera.snap(), rig.camera.snap()
    assert [between.number - first.number, last.number - first.number] == [1, 2]


def test_the_force_is_the_true_one(twin: Twin, rig: Rig, force: ForceSensor) -> None:
    rig.scanner.move_to({"z": 0.0})
    assert force.read_force_nn() == pytest.approx(twin.truth()["force_nn"], abs=NOISE_NN)
    rig.scanner.move_to({"z": until_contact_um(twin, rig)})
    truth = twin.truth()
    assert truth["probe_contact"]
    assert force.read_force_nn() == pytest.approx(truth["force_nn"], abs=NOISE_NN)


def test_a_detector_at_its_stop_is_saturated(rig: Rig, force: ForceSensor) -> None:
    rig.scanner.move_to({"z": 10.0})
    try:
        with pytest.raises(DeviceRejected, match="saturated"):
            force.read_force_nn()
    finally:
        rig.scanner.move_to({"z": 0.0})


def until_contact_um(twin: Twin, rig: Rig) -> float:
    """Go up until the world says that the probe touches."""
    z_um = 7.5
    while not twin.truth()["probe_contact"]:
        z_um += 0.02
        rig.scanner.move_to({"z": z_um})
    return z_um


def test_leaving_a_rig_retracts_the_probe_and_nothing_else(twin: Twin, rig: Rig) -> None:
    rig.scanner.move_to({"x": 33.0, "y": 44.0, "z": 5.0})
    before = twin.position_um("scanner")
    with rig.safe_on_exit():
        pass
    after = twin.position_um("scanner")
    assert after["z"] == pytest.approx(0.0, abs=0.01)
    assert (after["x"], after["y"]) == (before["x"], before["y"])


def test_leaving_by_an_error_retracts_too_and_tells_that_error(twin: Twin, rig: Rig) -> None:
    rig.scanner.move_to({"z": 5.0})
    with pytest.raises(KeyboardInterrupt), rig.safe_on_exit():
        raise KeyboardInterrupt
    assert twin.position_um("scanner")["z"] == pytest.approx(0.0, abs=0.01)


def test_what_cannot_be_retracted_is_told_and_the_rest_still_stopped(twin: Twin, rig: Rig) -> None:
    assert rig.focus is not None
    rig.focus.move_to({"z": 0.0})
    rig.scanner.move_to({"z": 5.0})
    tell_scanner(twin, "SVO 3 0")
    rig.focus.start_move({"z": 90_000.0})
    try:
        with pytest.raises(DeviceRejected, match="servo"), rig.safe_on_exit():
            pass
        with pytest.raises(Stopped):
            rig.focus.wait_settled()
    finally:
        tell_scanner(twin, "SVO 3 1")
        rig.focus.move_to({"z": 0.0})
        rig.make_safe()


def test_a_device_that_does_not_open_closes_those_before_it(twin: Twin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"socket://127.0.0.1:{nobody.getsockname()[1]}"
    text = twin.rig_file.read_text().replace(twin.ready["force"]["url"], url)
    threads = threading.active_count()
    with pytest.raises(DeviceLost, match=f"force: {url}"):
        open_rig(RigSettings.from_toml(text))
    gc.collect()  # an open socket would warn, and warnings are errors
    assert threading.active_count() == threads


def test_a_camera_of_another_shape_than_calibrated_is_refused(twin: Twin) -> None:
    text = twin.rig_file.read_text().replace("[512, 512]", "[512, 640]")
    with pytest.raises(RigFileError, match=r"frame_shape_px = \[512, 640\]: the camera's frames are \[512, 512\]"):
        open_rig(RigSettings.from_toml(text))
