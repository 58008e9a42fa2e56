"""What `Camera` promises, asked of every sort of camera."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from devices.errors import DeviceLost, DeviceRejected, OutOfRange, Stopped
from devices.protocols import Camera, Frame, Roi
from tests.conformance.bench import PATIENCE_S, Bench
from tests.conformance.camera_backends import CAMERAS, EXPOSURE_S, CameraBackend

EFFECT_S = 0.05  # within which who waits for a frame leaves after a stop
TRIES = 4  # one of them does: a busy machine may hold up a thread for longer
LONG_S = 1.5
HALF = 256


@pytest.fixture(scope="module", params=CAMERAS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> CameraBackend:
    backend: CameraBackend = request.param
    return backend


@pytest.fixture(scope="module")
def opened(bench: Bench, backend: CameraBackend) -> Iterator[Camera]:
    camera = backend.open(bench)
    yield camera
    camera.close()


@pytest.fixture
def camera(opened: Camera) -> Iterator[Camera]:
    """The camera as it is at first, and so afterwards."""
    opened.set_exposure_s(EXPOSURE_S)
    yield opened
    opened.stop()
    opened.set_binning(1)


def test_frames_are_16_bit_of_the_shape_it_says_and_counted(camera: Camera, backend: CameraBackend) -> None:
    frames = [camera.snap() for _ in range(3)]
    assert camera.frame_shape == (512, 512)
    assert {(frame.pixels.shape, frame.pixels.dtype) for frame in frames} == {((512, 512), np.dtype(np.uint16))}
    assert np.diff([frame.number for frame in frames]).tolist() == [1, 1], backend.name


def test_a_snap_begins_after_it_was_asked_for_and_lasts_as_long_as_told(camera: Camera, backend: CameraBackend) -> None:
    camera.set_exposure_s(0.2)
    began_s = time.monotonic()
    frame = camera.snap()
    assert frame.time_s - began_s >= 0.2, backend.name
    assert frame.time_s <= time.monotonic()


@pytest.mark.parametrize("exposure_s", [-0.01, 1e6, float("nan")])
def test_an_exposure_that_it_does_not_have_is_refused(bench: Bench, backend: CameraBackend, exposure_s: float) -> None:
    camera = backend.open(bench)
    try:
        with pytest.raises(DeviceRejected):
            camera.set_exposure_s(exposure_s)
        camera.set_exposure_s(EXPOSURE_S)
        assert camera.snap().pixels.shape == camera.frame_shape, backend.name
    finally:
        camera.close()


def test_a_region_and_all_of_the_sensor_again(camera: Camera, backend: CameraBackend) -> None:
    camera.set_roi(Roi(x=64, y=128, width=100, height=HALF))
    assert camera.frame_shape == camera.snap().pixels.shape == (HALF, 100), backend.name
    camera.set_roi(None)
    assert camera.frame_shape == camera.snap().pixels.shape == (512, 512), backend.name


@pytest.mark.parametrize("roi", [Roi(0, 0, 513, 10), Roi(-1, 0, 10, 10), Roi(0, 510, 10, 3), Roi(5, 5, 0, 5)], ids=str)
def test_a_region_outside_the_sensor_changes_nothing(camera: Camera, backend: CameraBackend, roi: Roi) -> None:
    camera.set_roi(Roi(0, 128, 512, HALF))
    with pytest.raises(OutOfRange):
        camera.set_roi(roi)
    assert camera.frame_shape == camera.snap().pixels.shape == (HALF, 512), backend.name


def test_binning_makes_fewer_pixels_and_reads_all_of_the_sensor(camera: Camera, backend: CameraBackend) -> None:
    camera.set_roi(Roi(0, 128, 512, HALF))
    camera.set_binning(2)
    assert camera.frame_shape == camera.snap().pixels.shape == (HALF, HALF), backend.name
    with pytest.raises(DeviceRejected):
        camera.set_binning(3)
    assert camera.snap().pixels.shape == camera.frame_shape, backend.name


def test_a_sequence_is_numbered_without_gaps_and_then_has_ended(camera: Camera, backend: CameraBackend) -> None:
    before = camera.snap()
    camera.start_sequence(5)
    frames = [camera.next_frame() for _ in range(5)]
    assert [frame.number - before.number for frame in frames] == [1, 2, 3, 4, 5], backend.name
    times_s = [frame.time_s for frame in frames]
    assert times_s == sorted(times_s), backend.name
    with pytest.raises(DeviceRejected, match="all 5 frames"):
        camera.next_frame()


def test_there_is_no_frame_of_a_sequence_that_was_not_begun(camera: Camera, backend: CameraBackend) -> None:
    with pytest.raises(DeviceRejected, match="no sequence"):
        camera.next_frame()


def test_a_snap_ends_a_sequence_and_is_a_frame_of_its_own(camera: Camera, backend: CameraBackend) -> None:
    camera.start_sequence(50)
    first = camera.next_frame()
    assert camera.snap().number > first.number, backend.name
    with pytest.raises(DeviceRejected):
        camera.next_frame()


def test_a_stop_with_nothing_under_way_is_nothing(camera: Camera, backend: CameraBackend) -> None:
    camera.stop()
    assert camera.snap().pixels.shape == camera.frame_shape, backend.name


@pytest.mark.parametrize("what", ["snap", "sequence"])
def test_a_stop_from_another_thread_ends_the_waiting_within_50_ms(
    camera: Camera, backend: CameraBackend, what: str
) -> None:
    camera.set_exposure_s(LONG_S)
    assert any(_stop_under_way(camera, what) < EFFECT_S for _ in range(TRIES)), f"{backend.name}, {what}"
    camera.set_exposure_s(EXPOSURE_S)
    assert camera.snap().pixels.shape == camera.frame_shape, backend.name


def _stop_under_way(camera: Camera, what: str) -> float:
    """Stop what waits for a frame; returns after how long it left."""
    left_s: list[float] = []
    waits = threading.Event()
    if what == "sequence":
        camera.start_sequence(3)

    def wait() -> Frame:
        waits.set()
        return camera.snap() if what == "snap" else camera.next_frame()

    def wait_until_stopped() -> None:
        with pytest.raises(Stopped):
            wait()
        left_s.append(time.monotonic())

    waiting = threading.Thread(target=wait_until_stopped)
    waiting.start()
    assert waits.wait(PATIENCE_S)
    waiting.join(2 * EFFECT_S)  # into the exposure
    began_s = time.monotonic()
    camera.stop()
    waiting.join()
    assert left_s, "it did not leave with Stopped"
    return left_s[0] - began_s


def test_closes_twice_and_says_so_afterwards(bench: Bench, backend: CameraBackend) -> None:
    camera = backend.open(bench)
    camera.close()
    camera.close()
    with pytest.raises(DeviceLost, match="closed"):
        camera.snap()
