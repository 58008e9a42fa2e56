"""The camera's driver on Micro-Manager's own demo camera, and on Python cameras that misbehave."""

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
from devices.errors import DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.settings import MmCoreSettings

DEMO_CFG = Path(mm_test_adapters.__file__).parent / "libs" / "MMConfig_demo.cfg"
ODD_MODULE = "odd_camera_of_the_tests"
ODD_CFG = f"""\
#py Property,Core,Initialize,0
#py pyDevice,Odd,{ODD_MODULE},OddCamera
#py Property,Core,Initialize,1
#py Property,Core,Camera,Odd
"""


class OddCamera(CameraDevice):
    """Does what a test tells it to in `behave`, then hands out its next number."""

    behave: ClassVar[Callable[[], None]]
    frames: ClassVar[int]
    pixel_type: ClassVar[DTypeLike]

    def get_exposure(self) -> float:
        return 10.0

    def set_exposure(self, exposure: float) -> None:
        if exposure > 1000:
            raise ValueError(f"exposure: {exposure} ms is outside 0..1000 ms")

    def shape(self) -> tuple[int, int]:
        return (3, 4)

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
    demo.snap()  # the first frame allocates
    demo.set_exposure_s(20.0)
    began = time.monotonic()
    stopper = threading.Timer(0.05, demo.stop)
    stopper.start()
    with pytest.raises(Stopped):
        demo.snap()
    assert time.monotonic() - began < 10.0
    stopper.join()
    demo.set_exposure_s(0.01)
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


def test_an_exposure_without_a_frame_is_a_protocol_error(odd: MmCamera) -> None:
    OddCamera.frames = -1
    with pytest.raises(ProtocolError, match="without a frame"):
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


@pytest.mark.parametrize("text", ["", "Device,Camera,NoSuchAdapter,NoSuchCamera\n", "nonsense\n"])
def test_a_configuration_without_a_camera_is_lost(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.cfg").write_text(text)
    with pytest.raises(DeviceLost):
        MmCamera("camera", MmCoreSettings(cfg=tmp_path / "bad.cfg"))


def test_a_missing_configuration_is_lost(tmp_path: Path) -> None:
    with pytest.raises(DeviceLost, match=r"none\.cfg"):
        MmCamera("camera", MmCoreSettings(cfg=tmp_path / "none.cfg"))


def test_closes_twice_and_says_so_afterwards(odd: MmCamera) -> None:
    odd.close()
    odd.close()
    with pytest.raises(DeviceLost, match="closed"):
        odd.snap()
