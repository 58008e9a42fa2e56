"""The camera, through the core that the service uses, and what its frames show."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pymmcore_plus.experimental.unicore import UniMMCore
from scipy import ndimage

from tests.hardware_sim.conftest import StartTwin, TwinProcess

Float = NDArray[np.float64]


class Eye:
    """Camera and scanner of one twin."""

    def __init__(self, twin: TwinProcess) -> None:
        self.twin = twin
        self.core = UniMMCore()
        self.core.loadSystemConfiguration(twin.ready["camera"]["cfg"])
        address = twin.ready["scanner"]
        self.scanner = socket.create_connection((address["host"], address["port"]), timeout=2)

    def go(self, x_um: float, y_um: float) -> None:
        self.scanner.sendall(b"MOV 1 %.12g 2 %.12g\n" % (x_um, y_um))
        while True:
            self.scanner.sendall(b"ONT? 1 2\n")
            if self.scanner.recv(100) == b"1=1 \n2=1\n":
                return

    def snap(self) -> NDArray[np.uint16]:
        self.core.snapImage()
        return self.core.getImage()

    def close(self) -> None:
        self.core.unloadAllDevices()
        self.scanner.close()


@pytest.fixture
def eye_on(request: pytest.FixtureRequest) -> Callable[[TwinProcess], Eye]:
    def look(twin: TwinProcess) -> Eye:
        eye = Eye(twin)
        request.addfinalizer(eye.close)
        return eye

    return look


Look = Callable[[TwinProcess], Eye]


def specimen_of(twin: TwinProcess) -> tuple[Float, float]:
    with urlopen(twin.ready["world"]["url"] + "/specimen", timeout=20) as response:
        pixel_um = float(response.headers["X-Pixel-Size-Um"])
        assert response.headers["X-Origin-Um"] == "0,0"
        png = np.frombuffer(response.read(), dtype=np.uint8)
    return cv2.imdecode(png, cv2.IMREAD_UNCHANGED).astype(float) / 65535, pixel_um


def shift_px(image: Float, reference: Float) -> Float:
    """How far the content of `image` lies from that of `reference` (x, y): least squares, spline interpolation."""
    inner = (slice(8, -8), slice(8, -8))
    image = (image - image.mean()) / image.std()
    reference = (reference - reference.mean()) / reference.std()
    total = np.zeros(2)
    for _ in range(4):
        moved = ndimage.shift(reference, total[::-1], order=5, mode="nearest")
        down, across = np.gradient(moved)
        slopes = np.column_stack([-across[inner].ravel(), -down[inner].ravel()])
        total += np.linalg.lstsq(slopes, (image - moved)[inner].ravel(), rcond=None)[0]
    return total


def test_snaps_with_a_number_that_the_world_knows(lab: TwinProcess, eye_on: Look) -> None:
    eye = eye_on(lab)
    eye.core.setExposure(10)
    frame = eye.snap()
    number = int(eye.core.getProperty("Camera", "ExposureNumber"))
    (exposure,) = lab.get(f"/exposures?after={number - 1}")["exposures"]
    assert (frame.shape, frame.dtype) == ((512, 512), np.uint16)
    assert exposure["number"] == number
    assert exposure["end_s"] - exposure["start_s"] == pytest.approx(0.010)


def test_a_sequence_carries_the_exposure_number(lab: TwinProcess, eye_on: Look) -> None:
    eye = eye_on(lab)
    eye.core.setExposure(5)
    eye.core.startSequenceAcquisition(2, 0, True)
    while eye.core.isSequenceRunning():
        pass
    numbers = [int(eye.core.popNextImageAndMD()[1]["exposure_number"]) for _ in range(2)]
    latest = [exposure["number"] for exposure in lab.get(f"/exposures?after={numbers[0] - 1}")["exposures"]]
    assert latest == numbers


def test_light_and_noise_are_those_of_the_sensor(lab: TwinProcess, eye_on: Look) -> None:
    eye = eye_on(lab)
    eye.go(50.0, 50.0)
    eye.core.setExposure(20)
    pairs = [(eye.snap().astype(float), eye.snap().astype(float)) for _ in range(4)]
    variance_dn2 = np.mean([np.var(a - b) / 2 for a, b in pairs])
    electrons = (np.mean([a.mean() for a, _ in pairs]) - 100) * 0.46
    # shot noise plus read noise, in DN; rounding adds 1/12, drift between two frames a little
    assert variance_dn2 == pytest.approx((electrons + 1.5**2) / 0.46**2, rel=0.05)
    eye.core.setExposure(10)
    assert (eye.snap().mean() - 100) * 0.46 == pytest.approx(electrons / 2, rel=0.02)


def test_frames_show_the_specimen_where_the_world_says(still: TwinProcess, eye_on: Look) -> None:
    specimen, pixel_um = specimen_of(still)
    eye = eye_on(still)
    blurred = cv2.GaussianBlur(specimen, (0, 0), 2.0 / 2.3548)
    for x_um, y_um in ((40.0, 45.0), (33.3333, 61.77)):
        eye.go(x_um, y_um)
        frame = eye.snap().astype(float)
        seen = still.get("/exposures?after=0")["exposures"][-1]
        left_px, top_px = seen["x_um"] / pixel_um - 255.5, seen["y_um"] / pixel_um - 255.5
        left, top = round(left_px), round(top_px)
        x_px, y_px = shift_px(frame, blurred[top : top + 512, left : left + 512])
        # the frame begins (left_px - left) further right than the cut-out, so its content lies as much further left
        assert x_px == pytest.approx(left - left_px, abs=0.02)
        assert y_px == pytest.approx(top - top_px, abs=0.02)


def test_two_still_worlds_give_the_same_bytes(still: TwinProcess, still_again: TwinProcess, eye_on: Look) -> None:
    frames = []
    for twin, detours in ((still, 0), (still_again, 3)):
        eye = eye_on(twin)
        for detour in range(detours):
            eye.go(10.0 + detour, 20.0)
            eye.snap()
        eye.go(40.0, 45.0)
        eye.core.setExposure(20)
        frames.append(eye.snap().tobytes())
    assert frames[0] == frames[1]


def test_refuses_an_exposure_that_the_sensor_cannot_do(lab: TwinProcess, eye_on: Look) -> None:
    eye = eye_on(lab)
    before_ms = eye.core.getExposure()
    with pytest.raises(ValueError, match=r"3000\.0 ms is outside 0\.5\.\.2000"):
        eye.core.setExposure(3000.0)
    assert eye.core.getExposure() == before_ms


def test_a_region_of_interest_is_a_part_of_the_frame(still: TwinProcess, eye_on: Look) -> None:
    eye = eye_on(still)
    eye.go(50.0, 50.0)
    whole = eye.snap()
    eye.core.setROI(100, 50, 64, 32)
    assert np.array_equal(eye.snap(), whole[50:82, 100:164])
    eye.core.clearROI()


def test_a_twin_that_is_gone_raises_at_once(start_twin: StartTwin, eye_on: Look) -> None:
    twin = start_twin("--pixel-nm", "200")
    eye = eye_on(twin)
    eye.snap()
    assert twin.stop() == 0
    with pytest.raises(ConnectionError, match="no answer"):
        eye.snap()


def test_a_silent_twin_raises_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware_sim.mm_camera.ANSWER_WITHIN_S", 0.1)
    from hardware_sim.mm_camera import TwinCamera

    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = TwinCamera()
        camera.set_property_value("Address", f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ConnectionError, match=r"it has 0\.1 s"):
            camera.initialize()


def test_a_request_that_makes_no_sense_is_answered_with_an_error(lab: TwinProcess) -> None:
    cfg = Path(lab.ready["camera"]["cfg"]).read_text()
    host, _, port = next(line for line in cfg.splitlines() if ",Address," in line).rpartition(",")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        for request in (b"nonsense\n", b'{"ask": "expose", "exposure_s": 1e9}\n', b"[]\n"):
            connection.sendall(request)
            assert "error" in json.loads(connection.recv(4096).partition(b"\n")[0])


def test_two_cameras_take_turns(lab: TwinProcess, eye_on: Look) -> None:
    eyes = [eye_on(lab), eye_on(lab)]
    threads = [threading.Thread(target=eye.snap) for eye in eyes]
    before = lab.get("/exposures?after=0")["exposures"][-1]["number"] if lab.get("/exposures")["exposures"] else 0
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = lab.get(f"/exposures?after={before}")["exposures"]
    assert second["start_s"] >= first["end_s"]
