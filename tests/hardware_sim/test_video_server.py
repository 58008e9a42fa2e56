"""The SEM's video over HTTP: what a grabber, a browser and OpenCV get from it."""

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hardware_sim.clock import ManualClock
from hardware_sim.faults import Armed
from hardware_sim.settings import CameraSettings, ElectronSettings, WorldSettings
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen
from hardware_sim.wire import HOST, Listener
from hardware_sim.world import World
from hardware_sim.world_server import WorldServer

SHAPE_PX = (48, 64)
WITHIN_S = 10.0


def ramp() -> Specimen:
    """Brighter towards the right, so that frames have something to show."""
    reflectance = np.broadcast_to(np.linspace(0, 1, 400, dtype=np.float32), (400, 400)).copy()
    return Specimen("ramp", 0.02, reflectance, np.zeros((400 // HEIGHT_STEP_PX,) * 2, dtype=np.float32))


class Video:
    """A world whose time stands still but for the video that waits for it, served in this process."""

    def __init__(self) -> None:
        settings = WorldSettings(
            camera=CameraSettings(frame_shape_px=SHAPE_PX), electron=ElectronSettings(frame_shape_px=SHAPE_PX)
        )
        self.clock = ManualClock()
        self.world = World(settings, ramp(), self.clock, 7)
        self.world.scanner.move({0: 4.0, 1: 4.0})
        self.clock.advance(100.0)
        self.listener = Listener("world", WorldServer(self.world).serve)

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.listener.port}{path}"

    @contextmanager
    def get(self, path: str) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection(HOST, self.listener.port, timeout=WITHIN_S)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                yield answer

    def parts(self, path: str, count: int) -> list[tuple[int, float, bytes]]:
        """Read so many frames of a stream: number, world time, JPEG; fewer if it ends."""
        with self.get(path) as answer:
            assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
            found: list[tuple[int, float, bytes]] = []
            while len(found) < count and answer.readline() == b"--frame\r\n":
                headers = http.client.parse_headers(answer)
                picture = answer.read(int(headers["Content-Length"]))
                assert answer.readline() == b"\r\n"
                found.append((int(headers["X-Frame"]), float(headers["X-Time-S"]), picture))
            return found

    def arm(self, name: str, **parameters: float) -> None:
        self.world.faults.arm(Armed.model_validate({"name": name, "device": "video", "after": 1, **parameters}))


@pytest.fixture
def video() -> Iterator[Video]:
    served = Video()
    yield served
    served.listener.close()


def decoded(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("backend", [cv2.CAP_FFMPEG, cv2.CAP_ANY])
def test_opencv_opens_the_stream_and_sees_the_specimen(video: Video, backend: int) -> None:
    capture = cv2.VideoCapture(video.url("/video.mjpg?cycle=tv"), backend)
    try:
        frames = [capture.read() for _ in range(3)]
    finally:
        capture.release()
    assert all(ok for ok, _ in frames)
    frame = frames[-1][1]
    assert frame.shape == (*SHAPE_PX, 3)
    assert frame[:, -16:].mean() > frame[:, :16].mean() + 10  # the ramp rises by 14 levels over the frame


def test_frames_have_rising_numbers_and_the_time_of_the_world(video: Video) -> None:
    parts = video.parts("/video.mjpg", 4)
    numbers = [number for number, _, _ in parts]
    assert numbers == list(range(2500, 2504))
    assert [time_s for _, time_s, _ in parts] == pytest.approx([number / 25 for number in numbers])


def test_a_single_frame_is_what_the_screen_shows_without_loss(video: Video) -> None:
    with video.get("/video/frame.png?cycle=hd") as answer:
        frame = decoded(answer.read())
        assert (answer.headers["X-Frame"], answer.headers["X-Time-S"]) == ("2500", "100.00")
        frame_number, line = divmod(100.0, 26.2)
        assert answer.headers["X-Scan-Frame"] == str(int(frame_number))
        assert answer.headers["X-Scan-Line"] == str(int(line / 26.2 * SHAPE_PX[0]))
    assert np.array_equal(frame, video.world.electrons.screen("hd", 100.0).pixels)


def test_the_camera_can_be_watched_too(video: Video) -> None:
    with video.get("/camera.mjpg") as answer:
        assert answer.readline() == b"--frame\r\n"
        headers = http.client.parse_headers(answer)
        assert decoded(answer.read(int(headers["Content-Length"]))).shape == SHAPE_PX


@pytest.mark.parametrize("path", ["/video.mjpg", "/video/frame.png"])
def test_a_speed_that_the_microscope_lacks_is_refused(video: Video, path: str) -> None:
    with video.get(f"{path}?cycle=fast") as answer:
        assert (answer.status, answer.read()) == (400, b'{"error": "cycle: \'fast\' is not one of tv, ld, hd"}')


def test_lost_frames_leave_a_gap_in_the_numbers(video: Video) -> None:
    video.arm("lost_frame", frames=3)
    assert [number for number, _, _ in video.parts("/video.mjpg", 3)] == [2500, 2504, 2505]


def test_a_stall_shows_nothing_for_its_time(video: Video) -> None:
    video.arm("stall", for_s=2.0)
    times_s = [time_s for _, time_s, _ in video.parts("/video.mjpg", 3)]
    assert times_s == pytest.approx([100.0, 102.04, 102.08])


def test_a_frozen_grabber_repeats_a_picture_under_new_numbers(video: Video) -> None:
    video.arm("frozen_frame", frames=2)
    (_, _, first), (_, _, second), (_, _, third), (number, _, fourth) = video.parts("/video.mjpg?cycle=tv", 4)
    assert (first == second == third, number) == (True, 2503)
    assert fourth != third


def test_a_closed_socket_ends_the_stream_and_the_next_watcher_is_served(video: Video) -> None:
    video.arm("closed_socket")
    assert len(video.parts("/video.mjpg", 3)) == 1
    assert len(video.parts("/video.mjpg", 3)) == 3


def test_garbage_is_not_taken_for_a_frame(video: Video) -> None:
    video.arm("garbage")
    assert len(video.parts("/video.mjpg", 3)) == 1
