"""The video output of the electron microscope: MJPEG for whoever watches, and single frames without loss."""

import math
import time

import cv2

from hardware_sim.electron_beam import Screen
from hardware_sim.faults import Fault
from hardware_sim.wire import Wire
from hardware_sim.world import World

FRAMES_PER_S = 25
"""PAL; of world time, and at most of the time of the wall."""
JPEG_QUALITY = 95
BOUNDARY = "frame"
STREAM_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"


def still(world: World, cycle: str) -> tuple[bytes, dict[str, str]]:
    """Take the frame that the video shows now: a grey PNG, and the headers that describe it."""
    number = _number_now(world)
    shown = world.electrons.screen(cycle, number / FRAMES_PER_S)
    _, encoded = cv2.imencode(".png", shown.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes(), _description(number, shown)


class VideoStream:
    """One watcher's stream.

    A frame has the number of its place in the world's time, so that numbers that are missing tell what was dropped.
    """

    def __init__(self, world: World, cycle: str, wire: Wire) -> None:
        self._world = world
        self._cycle = cycle
        self._wire = wire
        self._number = _number_now(world)
        self._shown = world.electrons.screen(cycle, self._number / FRAMES_PER_S)
        self._frozen = 0

    def send(self) -> None:
        """Send frames, each when its time has come, until the watcher leaves; what is late is left out."""
        while True:
            sent_s = time.monotonic()
            self._act_out(self._wire.begin())
            self._look()
            self._wire.send(_part(self._shown, self._number))
            time.sleep(max(sent_s + 1 / FRAMES_PER_S - time.monotonic(), 0.0))
            self._wait_for(max(self._number + 1, _number_now(self._world)))

    def _act_out(self, fault: Fault | None) -> None:
        if fault is None:
            return
        match fault.name:
            case "stall":
                self._wait_for(_number_now(self._world) + math.ceil(fault.parameters["for_s"] * FRAMES_PER_S))
            case "lost_frame":
                self._wait_for(self._number + int(fault.parameters["frames"]))
            case "frozen_frame":
                self._frozen = int(fault.parameters["frames"])

    def _look(self) -> None:
        """Grab the screen, unless the grabber repeats what it has."""
        if self._frozen:
            self._frozen -= 1
        else:
            self._shown = self._world.electrons.screen(self._cycle, self._number / FRAMES_PER_S)

    def _wait_for(self, number: int) -> None:
        self._number = number
        self._world.clock.sleep_until_s(number / FRAMES_PER_S)


def _number_now(world: World) -> int:
    return int(world.clock.now_s() * FRAMES_PER_S + 1e-9)


def _description(number: int, shown: Screen) -> dict[str, str]:
    return {
        "X-Frame": str(number),
        "X-Time-S": f"{number / FRAMES_PER_S:.2f}",
        "X-Scan-Frame": str(shown.frame),
        "X-Scan-Line": str(shown.line),
    }


def _part(shown: Screen, number: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", shown.pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    picture = encoded.tobytes()
    headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(picture)), **_description(number, shown)}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"--{BOUNDARY}\r\n{head}\r\n".encode() + picture + b"\r\n"
