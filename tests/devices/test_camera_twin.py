"""The camera's driver on the twin's camera: what befell the frames, the twin was told beforehand."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest
from device_twin import Twin

from devices.camera_mmcore import MmCamera
from devices.errors import DeviceRejected, DeviceTimeout, FrameBlack, FrameRepeated, FramesLost, Stopped
from devices.protocols import Roi
from devices.rig import RigSettings
from devices.settings import MmCoreSettings

READOUT_S = 0.5
PROMPT_S = 2.0  # a tenth of what is waited for without the stop
OFFSET_DN = 100.0  # of the sensor


def opened(twin: Twin, **changes: object) -> MmCamera:
    in_the_rig = cast(MmCoreSettings, RigSettings.load(twin.rig_file).devices.camera)
    changes = {"readout_s": READOUT_S, "first_frame_s": 20.0} | changes
    camera = MmCamera("camera", in_the_rig.model_copy(update=changes))
    camera.set_exposure_s(0.005)
    return camera


@pytest.fixture
def camera(twin: Twin) -> Iterator[MmCamera]:
    """Takes equal frames for what they are in a world whose noise repeats."""
    camera = opened(twin, identical_is_frozen=False)
    yield camera
    camera.close()


@pytest.fixture
def strict(twin: Twin) -> Iterator[MmCamera]:
    camera = opened(twin, identical_is_frozen=True)
    yield camera
    camera.close()


def arm(twin: Twin, fault: str, after: int = 0) -> None:
    """Let a fault befall one of the next frames."""
    body = json.dumps({"device": "camera", "name": fault, "after": after}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{twin.ready['world']['url']}/faults", body), timeout=5).close()


def exposures(twin: Twin) -> list[int]:
    """Numbers of the exposures that the world remembers."""
    with urllib.request.urlopen(f"{twin.ready['world']['url']}/exposures", timeout=5) as answer:
        return [exposure["number"] for exposure in json.load(answer)["exposures"]]


def test_frames_of_a_sequence_have_the_world_s_numbers(twin: Twin, camera: MmCamera) -> None:
    camera.start_sequence(4)
    numbers = [camera.next_frame().number for _ in range(4)]
    assert numbers == exposures(twin)[-4:]


def test_region_and_binning_change_the_shape(camera: MmCamera) -> None:
    rows, columns = camera.frame_shape
    camera.set_roi(Roi(x=16, y=rows // 2 - 8, width=32, height=16))
    assert camera.snap().pixels.shape == camera.frame_shape == (16, 32)
    camera.set_binning(2)
    assert camera.snap().pixels.shape == camera.frame_shape == (rows // 2, columns // 2)


def test_binned_pixels_hold_the_light_of_four(camera: MmCamera) -> None:
    single = float(camera.snap().pixels.mean()) - OFFSET_DN
    camera.set_binning(2)
    # Cameras differ in whether four offsets are summed, or one is left.
    fourfold = float(camera.snap().pixels.mean())
    assert min(abs(fourfold - offset - 4 * single) for offset in (OFFSET_DN, 4 * OFFSET_DN)) < 0.05 * 4 * single


def test_what_the_sensor_cannot_do_is_refused(camera: MmCamera) -> None:
    with pytest.raises(DeviceRejected, match="2000"):
        camera.set_exposure_s(5.0)
    with pytest.raises(DeviceRejected, match="Binning"):
        camera.set_binning(3)


def test_a_stop_frees_a_camera_that_waits_for_its_trigger(camera: MmCamera) -> None:
    camera.start_sequence(3, triggered=True)
    began = time.monotonic()
    stopper = threading.Timer(0.05, camera.stop)
    stopper.start()
    with pytest.raises(Stopped):
        camera.next_frame()
    stopper.join()
    assert camera.snap().number > 0
    assert time.monotonic() - began < PROMPT_S


def test_a_lost_frame_is_a_timeout_and_the_next_comes(twin: Twin, camera: MmCamera) -> None:
    before = camera.snap()
    arm(twin, "lost_frame")
    camera.set_exposure_s(0.006)
    with pytest.raises(DeviceTimeout):
        camera.snap()
    assert camera.snap().number == before.number + 2


def test_a_frame_lost_in_a_sequence_is_counted(twin: Twin, camera: MmCamera) -> None:
    arm(twin, "lost_frame", after=2)
    camera.start_sequence(5)
    camera.next_frame()
    camera.next_frame()
    with pytest.raises(FramesLost, match="1 lost") as caught:
        camera.next_frame()
    assert caught.value.count == 1
    assert camera.snap().pixels.shape == camera.frame_shape


@pytest.mark.parametrize("after", [0, 2])
def test_a_buffer_overrun_is_frames_lost(twin: Twin, camera: MmCamera, after: int) -> None:
    arm(twin, "buffer_overrun", after=after)
    camera.start_sequence(12)
    with pytest.raises(FramesLost):
        [camera.next_frame() for _ in range(12)]
    assert camera.snap().pixels.shape == camera.frame_shape


def test_a_buffer_overrun_of_a_single_exposure_is_a_frame_lost(twin: Twin, camera: MmCamera) -> None:
    arm(twin, "buffer_overrun")
    with pytest.raises(FramesLost, match="ran over"):
        camera.snap()


def test_a_frozen_frame_is_a_frame_repeated(twin: Twin, strict: MmCamera) -> None:
    strict.snap()
    strict.set_exposure_s(0.007)  # what is shown would be another frame
    arm(twin, "frozen_frame")
    with pytest.raises(FrameRepeated, match="pixel for pixel"):
        strict.snap()
    strict.snap()


def test_a_black_frame_is_an_error_where_no_field_is_dark(twin: Twin, camera: MmCamera) -> None:
    arm(twin, "black_frame")
    with pytest.raises(FrameBlack, match="mean 100"):
        camera.snap()
    assert camera.snap().pixels.mean() > 2 * OFFSET_DN


def test_a_black_frame_is_a_frame_where_any_may_be_dark(twin: Twin) -> None:
    with closing(opened(twin, black_below_dn=None)) as anything_goes:
        arm(twin, "black_frame")
        assert anything_goes.snap().pixels.mean() == pytest.approx(OFFSET_DN, rel=0.05)
