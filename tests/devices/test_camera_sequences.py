"""Sequences of frames: of Micro-Manager's own demo camera, and of a Python camera that plays what a test wrote."""

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
    FrameRepeated,
    FramesLost,
    Stopped,
)
from devices.settings import MmCoreSettings

DEMO_CFG = Path(mm_test_adapters.__file__).parent / "libs" / "MMConfig_demo.cfg"
PLAYED_MODULE = "played_camera_of_the_tests"
PLAYED_CFG = f"""\
#py Property,Core,Initialize,0
#py pyDevice,Played,{PLAYED_MODULE},PlayedCamera
#py Property,Core,Initialize,1
#py Property,Core,Camera,Played
"""
TRIGGERS: dict[str, Any] = {
    "external_trigger": ("Triggermode", "External"),
    "internal_trigger": ("Triggermode", "Internal"),
}
PROMPT_S = 4.0  # far less than what would be waited for without the stop, far more than a busy machine needs

Step = int | Callable[[], None]


class PlayedCamera(CameraDevice):
    """Delivers the exposure numbers of `play`, whatever it is asked for, and does in between what stands there."""

    play: ClassVar[list[Step]]
    modes: ClassVar[list[str]]
    stopped: ClassVar[threading.Event]
    pixels: ClassVar[Callable[[int], int]]

    def __init__(self) -> None:
        super().__init__()
        self._mode = "Internal"
        self.register_property(
            "Triggermode",
            property_type=str,
            getter=type(self).get_mode,
            setter=type(self).set_mode,
            allowed_values=["Internal", "External"],
        )

    def get_mode(self) -> str:
        return self._mode

    def set_mode(self, mode: str) -> None:
        self._mode = mode

    def get_exposure(self) -> float:
        return 10.0

    def set_exposure(self, exposure: float) -> None:
        pass

    def shape(self) -> tuple[int, int]:
        return (3, 4)

    def dtype(self) -> DTypeLike:
        return np.dtype(np.uint16)

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        type(self).modes.append(self._mode)
        for step in list(type(self).play):
            buffer = get_buffer(self.shape(), self.dtype())
            if callable(step):
                step()
            else:
                buffer[:] = type(self).pixels(step)
                yield {"exposure_number": step}

    def stop_sequence(self) -> None:
        type(self).stopped.set()


def wait_for_a_stop() -> None:
    """As a camera that waits for a trigger which never comes."""
    PlayedCamera.stopped.wait(30.0)


Open = Callable[..., MmCamera]


@pytest.fixture
def open_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    module = ModuleType(PLAYED_MODULE)
    module.__dict__["PlayedCamera"] = PlayedCamera
    monkeypatch.setitem(sys.modules, PLAYED_MODULE, module)
    PlayedCamera.play, PlayedCamera.modes, PlayedCamera.pixels = [], [], lambda number: number
    PlayedCamera.stopped = threading.Event()
    (tmp_path / "played.cfg").write_text(PLAYED_CFG)
    opened: list[MmCamera] = []

    def _open(*play: Step, **settings: Any) -> MmCamera:
        PlayedCamera.play = list(play)
        values = {"cfg": tmp_path / "played.cfg", "readout_s": 0.1, **settings}
        opened.append(MmCamera("camera", MmCoreSettings.model_validate(values)))
        return opened[-1]

    yield _open
    for camera in opened:
        camera.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[MmCamera]:
    camera = MmCamera("camera", MmCoreSettings(cfg=DEMO_CFG))
    yield camera
    camera.close()


def test_the_demo_camera_numbers_and_times_the_frames_of_a_sequence(demo: MmCamera) -> None:
    demo.set_exposure_s(0.02)
    before = demo.snap()
    began_s = time.monotonic()
    demo.start_sequence(5)
    frames = [demo.next_frame() for _ in range(5)]
    assert [frame.number - before.number for frame in frames] == [1, 2, 3, 4, 5]
    times_s = [began_s, *(frame.time_s for frame in frames), time.monotonic()]
    assert times_s == sorted(times_s)
    assert frames[-1].time_s - frames[0].time_s >= 4 * 0.02 * 0.9  # the adapter's timer is rounded to its scheduler
    with pytest.raises(DeviceRejected, match="all 5 frames"):
        demo.next_frame()
    assert demo.snap().number == frames[-1].number + 1


def test_a_stop_ends_a_sequence_of_an_adapter_at_once(demo: MmCamera) -> None:
    demo.set_exposure_s(1.0)
    demo.start_sequence(3)
    stopper = threading.Timer(0.05, demo.stop)
    stopper.start()
    with pytest.raises(Stopped):
        demo.next_frame()
    stopper.join()
    demo.set_exposure_s(0.01)
    assert demo.snap().pixels.shape == (512, 512)


def test_a_snap_ends_a_sequence(demo: MmCamera) -> None:
    demo.set_exposure_s(0.01)
    demo.start_sequence(1000)
    first = demo.next_frame()
    assert demo.snap().number > first.number
    with pytest.raises(DeviceRejected, match="no sequence"):
        demo.next_frame()


def test_a_buffer_of_an_adapter_that_runs_over_is_told_after_the_frames_before_it() -> None:
    camera = MmCamera("camera", MmCoreSettings(cfg=DEMO_CFG, buffer_mb=1))
    camera.set_exposure_s(0.001)
    camera.start_sequence(200)
    numbers: list[int] = []

    def read_slowly() -> None:
        while True:
            numbers.append(camera.next_frame().number)
            time.sleep(0.1)

    with pytest.raises(FramesLost, match="ran over") as caught:
        read_slowly()
    assert numbers == list(range(1, len(numbers) + 1))
    assert caught.value.count == 200 - len(numbers)
    camera.close()


@pytest.mark.parametrize("frames", [0, -1])
def test_a_sequence_of_no_frames_is_refused(demo: MmCamera, frames: int) -> None:
    with pytest.raises(DeviceRejected, match="sequence of"):
        demo.start_sequence(frames)


def test_a_triggered_sequence_needs_a_trigger_input_in_the_rig_file(demo: MmCamera) -> None:
    with pytest.raises(DeviceRejected, match="external_trigger and internal_trigger"):
        demo.start_sequence(3, triggered=True)


def test_the_trigger_is_set_for_a_sequence_and_back_for_a_snap(open_played: Open) -> None:
    camera = open_played(1, **TRIGGERS)
    camera.snap()
    PlayedCamera.play = [2, 3]
    camera.start_sequence(2, triggered=True)
    assert [camera.next_frame().number for _ in range(2)] == [2, 3]
    PlayedCamera.play = [4]
    camera.snap()
    PlayedCamera.play = [5]
    camera.start_sequence(1)
    camera.next_frame()
    assert PlayedCamera.modes == ["Internal", "External", "Internal", "Internal"]


def test_a_trigger_that_the_camera_does_not_have_is_told(open_played: Open) -> None:
    camera = open_played(1, external_trigger=("Triggermode", "Moon"), internal_trigger=("Triggermode", "Internal"))
    with pytest.raises(DeviceRejected, match="Moon"):
        camera.start_sequence(1, triggered=True)
    assert camera.snap().number == 1


def test_one_trigger_setting_alone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="give both, or neither"):
        MmCoreSettings(cfg=DEMO_CFG, external_trigger=("Triggermode", "External"))


def test_a_gap_in_the_numbers_is_so_many_frames_lost(open_played: Open) -> None:
    camera = open_played(7, 8, 11)
    camera.start_sequence(5)
    assert [camera.next_frame().number for _ in range(2)] == [7, 8]
    with pytest.raises(FramesLost, match="2 lost") as caught:
        camera.next_frame()
    assert caught.value.count == 2
    with pytest.raises(DeviceRejected, match="no sequence"):
        camera.next_frame()


def test_between_sequences_numbers_may_be_left_out(open_played: Open) -> None:
    camera = open_played(7)
    camera.snap()
    PlayedCamera.play = [20]
    assert camera.snap().number == 20


@pytest.mark.parametrize("again", [8, 7])
def test_a_number_that_does_not_rise_is_a_frame_repeated(open_played: Open, again: int) -> None:
    camera = open_played(7, 8, again)
    camera.start_sequence(3)
    camera.next_frame()
    camera.next_frame()
    with pytest.raises(FrameRepeated, match=f"frame {again} after frame 8"):
        camera.next_frame()


def test_the_same_frame_snapped_twice_is_a_frame_repeated(open_played: Open) -> None:
    camera = open_played(7)
    camera.snap()
    with pytest.raises(FrameRepeated):
        camera.snap()


def test_equal_pixels_are_a_frozen_frame_where_noise_should_be(open_played: Open) -> None:
    PlayedCamera.pixels = lambda number: 100
    trusting, strict = open_played(7), open_played(7, identical_is_frozen=True)
    for camera in (trusting, strict):
        PlayedCamera.play = [7]
        camera.snap()
        PlayedCamera.play = [8]
        if camera is trusting:
            camera.snap()
    with pytest.raises(FrameRepeated, match="pixel for pixel"):
        strict.snap()


def test_a_sequence_that_ends_early_has_lost_the_rest(open_played: Open) -> None:
    camera = open_played(7, 8)
    camera.start_sequence(3)
    camera.next_frame()
    camera.next_frame()
    with pytest.raises(FramesLost, match="after 2 of 3 frames") as caught:
        camera.next_frame()
    assert caught.value.count == 1


def test_a_buffer_of_a_python_camera_that_runs_over_is_frames_lost(open_played: Open) -> None:
    def run_over() -> None:
        raise BufferError("ring buffer full")

    camera = open_played(7, run_over)
    camera.start_sequence(3)
    camera.next_frame()
    with pytest.raises(FramesLost, match="ring buffer full"):
        camera.next_frame()


def test_what_the_camera_complains_about_comes_after_the_frames_before_it(open_played: Open) -> None:
    def complain() -> None:
        raise ConnectionError("cable out")

    camera = open_played(7, complain)
    camera.start_sequence(3)
    assert camera.next_frame().number == 7
    with pytest.raises(DeviceLost, match="cable out"):
        camera.next_frame()
    PlayedCamera.play = [1]
    assert camera.snap().number == 1  # back again, and counting anew


def test_the_first_frame_has_a_deadline_of_its_own(open_played: Open) -> None:
    camera = open_played(lambda: time.sleep(0.4), 7, first_frame_s=20.0)
    camera.start_sequence(1)
    assert camera.next_frame().number == 7  # readout_s alone, 0.1 s, would not have done


def test_a_later_frame_that_does_not_come_is_a_timeout_and_the_camera_is_told(open_played: Open) -> None:
    camera = open_played(7, wait_for_a_stop, first_frame_s=20.0)
    camera.start_sequence(2)
    camera.next_frame()
    with pytest.raises(DeviceTimeout, match=r"no frame within 0\.11 s"):
        camera.next_frame()
    PlayedCamera.play = [9]
    assert camera.snap().number == 9


def test_a_stop_ends_the_waiting_for_a_trigger_and_frees_the_camera(open_played: Open) -> None:
    camera = open_played(wait_for_a_stop, **TRIGGERS)
    camera.start_sequence(5, triggered=True)
    began = time.monotonic()
    stopper = threading.Timer(0.05, camera.stop)
    stopper.start()
    with pytest.raises(Stopped):
        camera.next_frame()
    stopper.join()
    PlayedCamera.play = [9]
    assert camera.snap().number == 9
    assert time.monotonic() - began < PROMPT_S


def test_a_stop_between_two_frames_ends_the_sequence(open_played: Open) -> None:
    camera = open_played(7, wait_for_a_stop)
    camera.start_sequence(2)
    camera.next_frame()
    camera.stop()
    with pytest.raises(Stopped):
        camera.next_frame()
    with pytest.raises(DeviceRejected, match="no sequence"):
        camera.next_frame()


def test_a_new_sequence_takes_the_place_of_the_one_before(open_played: Open) -> None:
    camera = open_played(7, wait_for_a_stop)
    camera.start_sequence(2)
    PlayedCamera.play = [8, 9]
    camera.start_sequence(2)
    assert [camera.next_frame().number for _ in range(2)] == [8, 9]


def test_closing_ends_a_sequence(open_played: Open) -> None:
    camera = open_played(wait_for_a_stop)
    camera.start_sequence(2)
    camera.close()
    with pytest.raises(DeviceLost, match="closed"):
        camera.start_sequence(1)
