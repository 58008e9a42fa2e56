"""The camera's driver on Micro-Manager's own demo camera, and on Python cameras that misbehave."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import mm_test_adapters
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import CameraDevice

from devices.camera_mmcore import MmCamera
from devices.errors import (
    DeviceLost,
    DeviceRejected,
    DeviceTimeout,
    FramesLost,
    OutOfRange,
    ProtocolError,
    Stopped,
)
from devices.protocols import Roi
from devices.settings import MmCoreSettings

DEMO_CFG = Path(mm_test_adapters.__file__).parent / "libs" / "MMConfig_demo.cfg"
ODD_MODULE = "odd_camera_of_the_tests"
ODD_CFG = f"""\
#py Property,Core,Initialize,0
#py pyDevice,Odd,{ODD_MODULE},OddCamera
#py Property,Core,Initialize,1
#py Property,Core,Camera,Odd
"""
DEAD_CFG = """\
#py Property,Core,Initialize,0
#py pyDevice,Dead,hardware_sim.mm_camera,TwinCamera
#py Property,Dead,Address,127.0.0.1:1
#py Property,Core,Initialize,1
#py Property,Core,Camera,Dead
"""  # nobody listens there


class OddCamera(CameraDevice):
    """Does what a test tells it to in `behave`, then hands out its next number."""

    behave: ClassVar[Callable[[], None]]
    frames: ClassVar[int]
    pixel_type: ClassVar[DTypeLike]
    ROWS: ClassVar[int] = 6

    def __init__(self) -> None:
        super().__init__()
        self.exposure_ms = 10.0
        self.clear_roi()

    def get_exposure(self) -> float:
        return self.exposure_ms

    def set_exposure(self, exposure: float) -> None:
        if exposure > 1000:
            raise ValueError(f"exposure: {exposure} ms is outside 0..1000 ms")
        self.exposure_ms = exposure

    def shape(self) -> tuple[int, int]:
        return (self.region[3], self.region[2])

    def get_roi(self) -> tuple[int, int, int, int]:
        return self.region

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """As a camera with two readout halves: any rows become rows around the middle."""
        rows = 2 * max(self.ROWS / 2 - y, y + height - self.ROWS / 2)
        self.region = (x, int((self.ROWS - rows) / 2), width, int(rows))

    def clear_roi(self) -> None:
        self.region = (0, 0, 4, self.ROWS)

    def dtype(self) -> DTypeLike:
        return np.dtype(self.pixel_type)

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        type(self).frames += 1
        number = type(self).frames
        type(self).behave()
        if number > 0:
            get_buffer(self.shape(), self.dtype())[:] = number
            yield {"exposure_number": 100 + number}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MmCamera]:
    module = ModuleType(ODD_MODULE)
    module.__dict__["OddCamera"] = OddCamera
    monkeypatch.setitem(sys.modules, ODD_MODULE, module)
    OddCamera.behave, OddCamera.frames, OddCamera.pixel_type = (lambda: None), 0, np.uint16
    (tmp_path / "odd.cfg").write_text(ODD_CFG)
    camera = MmCamera("camera", MmCoreSettings(cfg=tmp_path / "odd.cfg", readout_s=0.1))
    yield camera
    camera.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[MmCamera]:
    camera = MmCamera("camera", MmCoreSettings(cfg=DEMO_CFG))
    yield camera
    camera.close()


@pytest.fixture
def whole(demo: MmCamera) -> Iterator[MmCamera]:
    """The demo camera, and all of its sensor afterwards."""
    demo.set_exposure_s(0.001)
    yield demo
    demo.set_binning(1)


def test_the_demo_camera_gives_counted_16_bit_frames(demo: MmCamera) -> None:
    demo.set_exposure_s(0.01)
    first, second = demo.snap(), demo.snap()
    assert first.pixels.shape == demo.frame_shape == (512, 512)
    assert first.pixels.dtype == np.uint16
    assert second.number == first.number + 1


def test_the_demo_camera_exposes_as_long_as_told(demo: MmCamera) -> None:
    demo.set_exposure_s(0.1)
    began = time.monotonic()
    demo.snap()
    assert time.monotonic() - began >= 0.1


def test_a_stop_cuts_a_long_exposure_of_an_adapter_short(demo: MmCamera) -> None:
    demo.set_exposure_s(1.0)
    stopper = threading.Timer(0.05, demo.stop)
    stopper.start()
    with pytest.raises(Stopped):
        demo.snap()
    stopper.join()
    demo.set_exposure_s(0.01)  # waits until the demo camera, which does not break off, is ready again
    assert demo.snap().pixels.shape == (512, 512)


def test_the_camera_s_own_count_is_the_number(odd: MmCamera) -> None:
    assert [odd.snap().number for _ in range(3)] == [101, 102, 103]


def test_8_bit_frames_are_widened(odd: MmCamera) -> None:
    OddCamera.pixel_type = np.uint8
    frame = odd.snap()
    assert frame.pixels.dtype == np.uint16
    assert (frame.pixels == 1).all()


def test_other_pixels_are_a_protocol_error(odd: MmCamera) -> None:
    OddCamera.pixel_type = np.float32
    with pytest.raises(ProtocolError, match="float32"):
        odd.snap()


def test_an_exposure_without_a_frame_is_a_frame_lost(odd: MmCamera) -> None:
    OddCamera.frames = -1
    with pytest.raises(FramesLost, match="after 0 of 1 frames"):
        odd.snap()


def test_a_camera_that_hangs_is_a_timeout_and_its_late_frame_nobody_s(odd: MmCamera) -> None:
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(5.0)

    OddCamera.behave = hang
    with pytest.raises(DeviceTimeout):
        odd.snap()
    with pytest.raises(DeviceTimeout):
        odd.snap()
    go_on.set()
    OddCamera.behave = lambda: None
    assert odd.snap().number == 102  # the first one's frame came late, the second exposure never began


def test_a_stop_ends_the_waiting_for_a_camera_that_hangs(odd: MmCamera) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go_on.wait(5.0)

    OddCamera.behave = hang
    stopper = threading.Thread(target=lambda: (begun.wait(5.0), odd.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        odd.snap()
    stopper.join()
    go_on.set()
    assert odd.snap().number == 102


@pytest.mark.parametrize(
    ("error", "told_as"),
    [
        (ConnectionError("cable out"), DeviceLost),
        (TimeoutError("no trigger"), DeviceTimeout),
        (RuntimeError("overheated"), DeviceRejected),
    ],
)
def test_what_the_camera_complains_about_is_told(odd: MmCamera, error: Exception, told_as: type[Exception]) -> None:
    def complain() -> None:
        raise error

    OddCamera.behave = complain
    with pytest.raises(told_as, match=str(error)):
        odd.snap()
    OddCamera.behave = lambda: None
    assert odd.snap().number == 102


def test_an_exposure_that_the_camera_refuses_is_told(odd: MmCamera) -> None:
    with pytest.raises(DeviceRejected, match=r"outside 0\.\.1000 ms"):
        odd.set_exposure_s(2.0)


def test_an_exposure_that_the_adapter_leaves_out_in_silence_is_told(demo: MmCamera) -> None:
    demo.set_exposure_s(0.01)
    with pytest.raises(DeviceRejected, match=r"exposes for 0\.01 s instead of 20 s"):
        demo.set_exposure_s(20.0)  # the demo camera's longest are 10 s


def test_a_region_gives_that_part_of_the_sensor(whole: MmCamera) -> None:
    whole.set_roi(Roi(x=100, y=40, width=64, height=32))
    assert whole.snap().pixels.shape == whole.frame_shape == (32, 64)
    whole.set_roi(None)
    assert whole.snap().pixels.shape == whole.frame_shape == (512, 512)


def test_binning_makes_the_frames_smaller_and_ends_the_region(whole: MmCamera) -> None:
    whole.set_roi(Roi(x=0, y=0, width=64, height=32))
    whole.set_binning(2)
    assert whole.snap().pixels.shape == whole.frame_shape == (256, 256)
    whole.set_roi(Roi(x=192, y=192, width=64, height=64))
    assert whole.frame_shape == (64, 64)


def test_a_binning_that_the_camera_does_not_have_is_refused(whole: MmCamera) -> None:
    whole.set_roi(Roi(x=0, y=0, width=64, height=32))
    with pytest.raises(DeviceRejected, match="Binning"):
        whole.set_binning(3)
    assert whole.snap().pixels.shape == whole.frame_shape == (32, 64)


@pytest.mark.parametrize(
    "roi", [Roi(-1, 0, 4, 4), Roi(0, 0, 0, 4), Roi(500, 0, 13, 4), Roi(0, 500, 4, 13), Roi(0, 0, 513, 512)]
)
def test_a_region_beyond_the_sensor_changes_nothing(whole: MmCamera, roi: Roi) -> None:
    whole.set_roi(Roi(x=0, y=0, width=64, height=32))
    with pytest.raises(OutOfRange, match="512 x 512"):
        whole.set_roi(roi)
    assert whole.snap().pixels.shape == whole.frame_shape == (32, 64)


def test_a_camera_that_takes_another_region_reads_out_all_of_its_sensor(odd: MmCamera) -> None:
    odd.set_roi(Roi(x=1, y=1, width=2, height=4))
    assert odd.snap().pixels.shape == (4, 2)
    with pytest.raises(DeviceRejected, match=r"took the region \[1, 0, 2, 6\]"):
        odd.set_roi(Roi(x=1, y=0, width=2, height=2))
    assert odd.snap().pixels.shape == odd.frame_shape == (6, 4)


def test_a_camera_without_binning_refuses_it(odd: MmCamera) -> None:
    with pytest.raises(DeviceRejected, match="Binning"):
        odd.set_binning(2)


def test_the_library_writes_no_log_file_and_leaves_the_log_level_alone(tmp_path: Path) -> None:
    script = "import logging, devices.mm_core; print(logging.getLogger().level)"
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **home}, capture_output=True, text=True)
    assert done.stdout.split() == [str(logging.WARNING)], done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "Device,Camera,NoSuchAdapter,NoSuchCamera\n", "nonsense\n"])
def test_a_configuration_without_a_camera_is_lost(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.cfg").write_text(text)
    with pytest.raises(DeviceLost):
        MmCamera("camera", MmCoreSettings(cfg=tmp_path / "bad.cfg"))


def test_a_camera_that_does_not_initialise_is_lost_and_the_library_logs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dead.cfg").write_text(DEAD_CFG)
    with pytest.raises(DeviceLost, match="camera: no answer from the twin"):
        MmCamera("camera", MmCoreSettings(cfg=tmp_path / "dead.cfg"))
    assert caplog.records == []


def test_a_missing_configuration_is_lost(tmp_path: Path) -> None:
    with pytest.raises(DeviceLost, match=r"none\.cfg"):
        MmCamera("camera", MmCoreSettings(cfg=tmp_path / "none.cfg"))


def test_closes_twice_and_says_so_afterwards(odd: MmCamera) -> None:
    odd.close()
    odd.close()
    with pytest.raises(DeviceLost, match="closed"):
        odd.snap()


def test_the_configuration_for_the_pco_camera_wants_its_adapter() -> None:
    cfg = Path(__file__).parents[2] / "docs" / "pco_edge.cfg"
    with pytest.raises(DeviceLost, match="PCO_Generic"):
        MmCamera("camera", MmCoreSettings(cfg=cfg))
