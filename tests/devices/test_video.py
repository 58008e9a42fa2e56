"""The video driver on recordings, and on a stream that stalls, repeats itself and hangs up."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from video_peer import VideoPeer, picture

from devices.errors import DeviceLost, DeviceTimeout, ProtocolError, Stopped, VideoEnded
from devices.settings import OpenCvVideoSettings
from devices.video_frames import VideoFrames
from devices.video_opencv import OpenCvVideo

RATE_HZ = 25.0
JPEG_GREY = 2.0  # what JPEG and the way through colour do to a mean; pictures are 8 apart
STALL_S = 0.4

Open = Callable[..., OpenCvVideo]


@pytest.fixture
def open_video() -> Iterator[Open]:
    opened: list[OpenCvVideo] = []

    def _open(source: object, **settings: Any) -> OpenCvVideo:
        opened.append(OpenCvVideo("video", OpenCvVideoSettings.model_validate({"source": str(source), **settings})))
        return opened[-1]

    yield _open
    for video in opened:
        video.close()


@pytest.fixture
def peer(open_video: Open) -> Iterator[VideoPeer]:
    """Hangs up before the video is closed, which then need not wait for the library."""
    with VideoPeer() as peer:
        yield peer


def record(path: Path, pictures: list[NDArray[Any]]) -> Path:
    """Write pictures without loss."""
    rows, columns = pictures[0].shape
    depth = cv2.CV_16U if pictures[0].dtype == np.uint16 else cv2.CV_8U
    options = [cv2.VIDEOWRITER_PROP_DEPTH, depth, cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    codec = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, RATE_HZ, (columns, rows), options)
    assert writer.isOpened()
    for grey in pictures:
        writer.write(grey)
    writer.release()
    return path


def test_a_recording_gives_every_frame_in_order_and_then_its_end(tmp_path: Path, open_video: Open) -> None:
    pictures = [picture(seed) for seed in range(10)]
    video = open_video(record(tmp_path / "night.avi", pictures))
    frames = [video.read_frame() for _ in pictures]
    assert [frame.number for frame in frames] == list(range(1, 11))
    assert [frame.time_s for frame in frames] == pytest.approx([index / RATE_HZ for index in range(10)])
    for frame, grey in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.pixels, grey)
    for _ in range(2):
        with pytest.raises(VideoEnded, match="after 10 frames"):
            video.read_frame()
    assert video.dropped == 0


def test_16_bit_recordings_keep_their_depth(tmp_path: Path, open_video: Open) -> None:
    pictures = [(picture(seed).astype(np.uint16) << 8) + seed for seed in range(3)]
    video = open_video(record(tmp_path / "deep.avi", pictures))
    for grey in pictures:
        frame = video.read_frame()
        assert frame.pixels.dtype == np.uint16
        np.testing.assert_array_equal(frame.pixels, grey)


def test_a_picture_that_comes_twice_is_given_once(tmp_path: Path, open_video: Open) -> None:
    path = record(tmp_path / "twice.avi", [picture(seed) for seed in (1, 1, 2, 2, 2, 3)])
    video = open_video(path)
    assert [video.read_frame().number for _ in range(3)] == [1, 3, 6]
    trusting = open_video(path, identical_is_repeated=False)
    assert [trusting.read_frame().number for _ in range(6)] == [1, 2, 3, 4, 5, 6]


def test_the_crop_leaves_the_data_bar_out(tmp_path: Path, open_video: Open) -> None:
    whole = picture(1)
    path = record(tmp_path / "bar.avi", [whole])
    np.testing.assert_array_equal(open_video(path, crop_px=(4, 2, 30, 20)).read_frame().pixels, whole[2:22, 4:34])
    with pytest.raises(ProtocolError, match="crop"):
        open_video(path, crop_px=(140, 0, 30, 20)).read_frame()


@pytest.mark.parametrize("content", [None, b"", b"not a video"])
def test_what_is_no_video_is_lost(tmp_path: Path, open_video: Open, content: bytes | None) -> None:
    path = tmp_path / "none.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeviceLost, match=r"none\.avi"):
        open_video(path)


def test_a_stream_that_nobody_serves_is_lost_without_a_word_on_stderr(
    open_video: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceLost, match="cannot be opened"):
        open_video("http://127.0.0.1:9/video")  # discard: no service of ours
    assert capfd.readouterr().err == ""


def test_a_stream_gives_grey_frames_with_rising_times(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url)
    first = video.read_frame()
    peer.show(picture(2))
    second = video.read_frame()
    assert first.pixels.shape == (120, 160)
    assert [first.pixels.mean(), second.pixels.mean()] == pytest.approx([16.0, 24.0], abs=JPEG_GREY)
    assert second.number == first.number + 1
    assert second.time_s > first.time_s


def test_a_slow_reader_of_a_stream_gets_the_latest_frame(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url)
    peer.show(*(picture(seed) for seed in range(2, 21)))
    while (frame := video.read_frame()).number < 20:
        pass
    assert frame.pixels.mean() == pytest.approx(168.0, abs=JPEG_GREY)


def test_a_stream_that_stalls_is_a_timeout_and_is_opened_again(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url, frame_s=STALL_S)
    video.read_frame()
    with pytest.raises(DeviceTimeout):
        video.read_frame()
    peer.hang_up()
    peer.show(picture(5))
    frame = read_after_trouble(video)
    assert peer.connections == 2
    assert frame.pixels.mean() == pytest.approx(48.0, abs=JPEG_GREY)
    assert frame.number == 2


def test_a_stream_that_hangs_up_is_lost_and_is_opened_again(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url)
    video.read_frame()
    peer.hang_up()
    with pytest.raises(DeviceLost, match="no more frames"):
        video.read_frame()
    peer.show(picture(5))
    assert video.read_frame().number == 2


def test_a_stream_that_repeats_its_picture_has_stalled(peer: VideoPeer, open_video: Open) -> None:
    peer.show(*[picture(1)] * 20)
    video = open_video(peer.url, frame_s=STALL_S)
    video.read_frame()
    with pytest.raises(DeviceTimeout):
        video.read_frame()


def test_a_stream_that_changes_its_size_is_a_protocol_error(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url)
    video.read_frame()
    peer.hang_up()
    peer.show(picture(2, (240, 320)))
    with pytest.raises(DeviceLost):
        video.read_frame()
    with pytest.raises(ProtocolError, match=r"\(240, 320\)"):
        video.read_frame()


def test_a_stop_ends_the_waiting_for_a_frame(peer: VideoPeer, open_video: Open) -> None:
    peer.show(picture(1))
    video = open_video(peer.url, frame_s=30.0)
    video.read_frame()
    stopper = threading.Timer(0.05, video.stop)
    stopper.start()
    with pytest.raises(Stopped):
        video.read_frame()
    stopper.join()
    peer.show(picture(2))
    assert video.read_frame().number == 2


def test_closes_twice_and_says_so_afterwards(tmp_path: Path, open_video: Open) -> None:
    video = open_video(record(tmp_path / "night.avi", [picture(1)]))
    video.close()
    video.close()
    with pytest.raises(DeviceLost, match="closed"):
        video.read_frame()


@pytest.mark.parametrize(
    ("times_s", "dropped"),
    [
        ([0.0, 0.04, 0.08], 0),
        ([0.0, 0.05, 0.08], 0),  # late, but less than one and a half periods
        ([0.0, 0.12], 2),
        ([0.0, 0.08, 0.12, 0.24], 3),
    ],
)
def test_frames_that_must_lie_in_a_gap_are_counted_as_dropped(times_s: list[float], dropped: int) -> None:
    frames = VideoFrames("video", OpenCvVideoSettings(source="night.avi"))
    for seed, time_s in enumerate(times_s):
        frames.admit(picture(seed), time_s, 0.04, lambda: True)
    assert frames.dropped == dropped


def test_the_time_that_a_source_was_closed_is_no_drop() -> None:
    frames = VideoFrames("video", OpenCvVideoSettings(source="night.avi"))
    frames.admit(picture(1), 0.0, 0.04, lambda: True)
    frames.resume()
    frames.admit(picture(2), 9.0, 0.04, lambda: True)
    assert frames.dropped == 0


def read_after_trouble(video: OpenCvVideo) -> Any:
    """Read until the library has let go of the stream that had stalled: it does within its own timeout."""
    for _ in range(20):
        try:
            return video.read_frame()
        except (DeviceTimeout, DeviceLost):
            continue
    raise AssertionError("the stream did not come back")
