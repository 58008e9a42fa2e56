"""Every fault of the camera's wire and of the camera itself, on a snap and on a sequence; only the twin has them.

| fault          | allowed errors                                                                     |
|----------------|------------------------------------------------------------------------------------|
| silence        | DeviceTimeout; FramesLost where the next frame shows the gap; DeviceLost           |
| late_answer    | the same; none where the frame came before its deadline                            |
| garbage        | DeviceLost, ProtocolError, DeviceTimeout                                           |
| partial_line   | DeviceLost, ProtocolError, DeviceTimeout                                           |
| closed_socket  | DeviceLost                                                                         |
| lost_frame     | FramesLost; DeviceTimeout of a snap, which nothing follows                         |
| frozen_frame   | FrameRepeated                                                                      |
| black_frame    | none: a driver cannot tell a dark specimen from a dark frame                       |
| buffer_overrun | FramesLost                                                                         |
"""

from collections.abc import Iterator

import numpy as np
import pytest

from devices.camera_mmcore import MmCamera
from devices.errors import DeviceError, DeviceLost, DeviceTimeout, FrameRepeated, FramesLost, ProtocolError
from devices.protocols import Frame
from hardware_sim.fault_kinds import known
from tests.conformance.bench import Bench, judge, outcome_of
from tests.conformance.camera_backends import EXPOSURE_S, READOUT_S, open_twin

ALLOWED: dict[str, tuple[type[DeviceError], ...]] = {
    "silence": (DeviceTimeout, FramesLost, DeviceLost),
    "late_answer": (DeviceTimeout, FramesLost, DeviceLost),
    "garbage": (DeviceLost, ProtocolError, DeviceTimeout),
    "partial_line": (DeviceLost, ProtocolError, DeviceTimeout),
    "closed_socket": (DeviceLost,),
    "lost_frame": (FramesLost, DeviceTimeout),
    "frozen_frame": (FrameRepeated,),
    "black_frame": (),
    "buffer_overrun": (FramesLost,),
}
UNNOTICED = {"black_frame", "late_answer"}
FRAMES = 8
DARK_DN = 110.0  # the offset is 100; the darkest specimen is far above
SNAP_S = 2 * (EXPOSURE_S + READOUT_S)


@pytest.fixture(scope="module")
def camera(bench: Bench) -> Iterator[MmCamera]:
    camera = open_twin(bench)
    camera.set_exposure_s(EXPOSURE_S)
    yield camera
    camera.close()


@pytest.mark.parametrize("fault", known("camera"))
def test_a_snap_struck_by_a_fault_is_an_error_or_a_new_frame(bench: Bench, camera: MmCamera, fault: str) -> None:
    before = camera.snap()
    bench.arm("camera", fault)
    outcome = outcome_of(camera.snap)
    judge(outcome, f"{fault}, snap", ALLOWED[fault], SNAP_S)
    assert outcome.error is not None or fault in UNNOTICED, f"{fault}, snap: nobody noticed"
    if outcome.error is None:
        _refuse_old(outcome.value, before)
    _works_again(bench, camera, fault)


@pytest.mark.parametrize("fault", known("camera"))
def test_a_sequence_struck_by_a_fault_has_no_wrong_frame(bench: Bench, camera: MmCamera, fault: str) -> None:
    last = camera.snap()
    bench.arm("camera", fault, after=2)
    camera.start_sequence(FRAMES)
    noticed = False
    for _ in range(FRAMES):
        outcome = outcome_of(camera.next_frame)
        judge(outcome, f"{fault}, sequence", ALLOWED[fault], SNAP_S)
        if outcome.error is not None:
            noticed = True
            break
        assert outcome.value.number == last.number + 1, f"{fault}: a gap that nobody told"
        _refuse_old(outcome.value, last)
        last = outcome.value
    assert noticed or fault in UNNOTICED, f"{fault}, sequence: nobody noticed"
    _works_again(bench, camera, fault)


def test_how_many_frames_were_lost_is_told(bench: Bench, camera: MmCamera) -> None:
    bench.arm("camera", "lost_frame", after=2)
    camera.start_sequence(FRAMES)
    frames = (camera.next_frame() for _ in range(FRAMES))
    with pytest.raises(FramesLost) as lost:
        list(frames)
    assert lost.value.count == 1


def _refuse_old(frame: Frame, before: Frame) -> None:
    assert frame.number > before.number, "a number that does not rise"
    assert not np.array_equal(frame.pixels, before.pixels), "the frame of before"


def _works_again(bench: Bench, camera: MmCamera, fault: str) -> None:
    """The next frames are the world's next ones, and of light."""
    seen = bench.exposures()[-1]["number"]
    for _ in range(2):
        frame = camera.snap()
        assert frame.number > seen, f"{fault}: a frame of before"
        assert frame.number == bench.exposures(seen)[-1]["number"], f"{fault}: not the latest"
        assert frame.pixels.mean() > DARK_DN, f"{fault}: a black frame after the fault"
