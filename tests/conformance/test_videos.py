"""What `VideoSource` promises, of a recording and of the twin's stream, with every fault of that stream.

| fault         | allowed errors of a reading                                                               |
|---------------|-------------------------------------------------------------------------------------------|
| silence       | none: one frame is missing                                                                |
| late_answer   | DeviceTimeout                                                                             |
| garbage       | DeviceLost, ProtocolError, DeviceTimeout: where the next frame begins is no longer known  |
| partial_line  | DeviceLost, ProtocolError, DeviceTimeout                                                  |
| closed_socket | DeviceLost                                                                                |
| stall         | DeviceTimeout, DeviceLost                                                                 |
| lost_frame    | none: they are counted                                                                    |
| frozen_frame  | none: they are left out                                                                   |
"""

import itertools
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from devices.errors import DeviceError, DeviceLost, DeviceTimeout, ProtocolError, Stopped, VideoEnded
from devices.protocols import VideoFrame
from devices.settings import OpenCvVideoSettings
from devices.video_opencv import OpenCvVideo
from hardware_sim.fault_kinds import known
from tests.conformance.bench import PATIENCE_S, Bench, judge, outcome_of

PERIOD_S = 0.04
FRAME_S = 0.6
OPEN_S = 5.0
WATCHED = 12  # frames after a fault, half a second
RECOVERIES = 10
BLOCK_PX = 32
ALIKE_DN = 8.0  # means of blocks differ by 1.4 from picture to picture, by 20 and more where a picture is garbled
SCAN_S = 3.0  # of the world's time: then a cycle of 2.7 s has replaced what was seen before the stage moved last
RECORDED = 8
LOST, JITTER = 10, 3  # frames; how many are missing is told by the times of arrival, which a busy machine blurs

ALLOWED: dict[str, tuple[type[DeviceError], ...]] = {
    "silence": (),
    "late_answer": (DeviceTimeout,),
    "garbage": (DeviceLost, ProtocolError, DeviceTimeout),
    "partial_line": (DeviceLost, ProtocolError, DeviceTimeout),
    "closed_socket": (DeviceLost,),
    "stall": (DeviceTimeout, DeviceLost),
    "lost_frame": (),
    "frozen_frame": (),
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Frames that show their index, without loss."""
    path = tmp_path / "night.avi"
    options = [cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    codec = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 1 / PERIOD_S, (64, 48), options)
    for index in range(RECORDED):
        writer.write(np.full((48, 64), index, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def stream(bench: Bench) -> Iterator[OpenCvVideo]:
    scanned_s = bench.truth()["time_s"] + SCAN_S
    bench.until(lambda: bench.truth()["time_s"] > scanned_s)
    video = OpenCvVideo("video", _settings(bench.ready["video"]["url"]))
    yield video
    video.close()


def _settings(source: object) -> OpenCvVideoSettings:
    return OpenCvVideoSettings(source=str(source), frame_s=FRAME_S, open_s=OPEN_S, period_s=PERIOD_S)


def test_a_recording_gives_every_frame_with_its_number_and_time_and_then_ends(recording: Path) -> None:
    video = OpenCvVideo("video", _settings(recording))
    frames = [video.read_frame() for _ in range(RECORDED)]
    assert [frame.number for frame in frames] == list(range(1, RECORDED + 1))
    assert [int(frame.pixels[0, 0]) for frame in frames] == list(range(RECORDED))
    assert [frame.time_s for frame in frames] == pytest.approx([PERIOD_S * index for index in range(RECORDED)])
    with pytest.raises(VideoEnded):
        video.read_frame()
    assert video.dropped == 0
    video.close()
    video.close()
    with pytest.raises(DeviceLost, match="closed"):
        video.read_frame()


def test_a_source_that_is_not_there_is_lost(tmp_path: Path) -> None:
    for source in (tmp_path / "none.avi", "http://127.0.0.1:9/video.mjpg"):
        with pytest.raises(DeviceLost):
            OpenCvVideo("video", _settings(source))


def test_a_stream_gives_what_the_microscope_shows_now(bench: Bench, stream: OpenCvVideo) -> None:
    frames = [stream.read_frame() for _ in range(5)]
    now_s = time.monotonic()
    assert all(later.number > earlier.number for earlier, later in itertools.pairwise(frames))
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))
    assert now_s - frames[-1].time_s < FRAME_S
    assert _unlike_dn(frames[-1], _shown(bench)) < ALIKE_DN


def test_a_stop_ends_the_waiting_for_a_frame(bench: Bench, stream: OpenCvVideo) -> None:
    _read_until_right(stream)
    struck = len(bench.injected())
    bench.arm("video", "stall")
    told: list[bool] = []

    def read_until_stopped() -> None:
        outcome = outcome_of(stream.read_frame)
        while outcome.error is None:
            outcome = outcome_of(stream.read_frame)
        told.append(isinstance(outcome.error, Stopped))

    reading = threading.Thread(target=read_until_stopped)
    reading.start()
    bench.until(lambda: len(bench.injected()) > struck)
    stream.stop()
    reading.join(PATIENCE_S)
    assert told == [True]
    _read_until_right(stream)


def test_a_stream_closes_twice_and_says_so_afterwards(bench: Bench) -> None:
    video = OpenCvVideo("video", _settings(bench.ready["video"]["url"]))
    video.close()
    video.close()
    with pytest.raises(DeviceLost, match="closed"):
        video.read_frame()


@pytest.mark.parametrize("fault", known("video"))
def test_a_fault_ends_in_its_error_or_is_left_out(bench: Bench, stream: OpenCvVideo, fault: str) -> None:
    shown = _shown(bench)
    last = _read_until_right(stream)
    dropped, struck = stream.dropped, len(bench.injected())
    bench.arm("video", fault, **({"frames": LOST} if fault == "lost_frame" else {}))
    seen = 0
    while seen < WATCHED or len(bench.injected()) == struck:
        outcome = outcome_of(stream.read_frame)
        judge(outcome, fault, ALLOWED[fault], OPEN_S + FRAME_S)
        seen += 1
        if outcome.error is None:
            frame = outcome.value
            assert frame.number > last.number, f"{fault}: a number that does not rise"
            assert not np.array_equal(frame.pixels, last.pixels), f"{fault}: the frame of before"
            assert _unlike_dn(frame, shown) < ALIKE_DN, f"{fault}: a garbled frame was taken for a right one"
            last = frame
    if fault == "lost_frame":
        assert stream.dropped - dropped >= LOST - JITTER, f"{fault}: not counted"
    assert _unlike_dn(_read_until_right(stream), shown) < ALIKE_DN, fault


def _read_until_right(stream: OpenCvVideo) -> VideoFrame:
    """The next frame, after the errors that are documented; each reading opens a source anew that was lost."""
    for _ in range(RECOVERIES):
        outcome = outcome_of(stream.read_frame)
        if isinstance(outcome.value, VideoFrame):
            return outcome.value
        assert isinstance(outcome.error, DeviceTimeout | DeviceLost), repr(outcome.error)
    raise AssertionError("no frame any more")


def _shown(bench: Bench) -> NDArray[np.uint8]:
    """What the microscope shows now, past the stream."""
    with urllib.request.urlopen(f"{bench.ready['world']['url']}/video/frame.png", timeout=PATIENCE_S) as answer:
        return np.asarray(cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def _unlike_dn(frame: VideoFrame, shown: NDArray[np.uint8]) -> float:
    """How far the means of blocks are apart, at most; noise plays no part in that."""
    return float(np.abs(_blocks(frame.pixels) - _blocks(shown)).max())


def _blocks(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float64]:
    rows, columns = (size // BLOCK_PX for size in pixels.shape)
    cut = pixels[: rows * BLOCK_PX, : columns * BLOCK_PX].astype(float)
    return np.asarray(cut.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(1, 3)))
