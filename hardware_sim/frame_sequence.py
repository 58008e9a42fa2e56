"""One request for frames, from the first exposure to the last message."""

import threading
from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any

from hardware_sim.camera import Camera, Shot
from hardware_sim.frame_protocol import Expose
from hardware_sim.frame_wire import FrameWire
from hardware_sim.sensor import Frame

OVERRUN_FRAMES = 4
"""So many frames are lost when the camera's buffer runs over (a choice)."""
STOPS_WITHIN_S = 1.0
"""Of wall time; whoever does not read what he asked for may keep a thread longer."""
US_PER_S = 1e6


class Darkroom:
    """Makes frames of exposures, and acts out what goes wrong with their pixels."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._latest: Frame | None = None

    def develop(self, shot: Shot, fault: str) -> Frame:
        """Work out a frame; a black one has seen no light, a frozen one is the one before."""
        latest = self._latest
        if fault == "black_frame":
            frame = self.camera.black(shot)
        elif fault == "frozen_frame" and latest is not None and latest.shape == shot.shape_px:
            frame = latest
        else:
            frame = self.camera.develop(shot)
        self._latest = frame
        return frame


class Sequence:
    """Pushes frames in a thread of its own; `ended` is called when that ends."""

    def __init__(
        self, darkroom: Darkroom, wire: FrameWire, request: Expose, ended: Callable[["Sequence"], None]
    ) -> None:
        """Arm the camera.

        Raises:
            ValueError: it cannot be set up like that.
        """
        self._darkroom = darkroom
        self._wire = wire
        self._frames = request.frames
        self._triggered = request.setup.trigger == "external"
        self._ended = ended
        self._given_up = threading.Event()
        self._said_all = False
        self._shots = darkroom.camera.sequence(request.setup, request.frames, self._given_up)
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)

    def start(self) -> None:
        """Begin to expose."""
        self._thread.start()

    def is_running(self) -> bool:
        """Whether messages may still come."""
        return self._thread.is_alive() and not self._said_all

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._given_up.set()
        self._thread.join(STOPS_WITHIN_S)

    def _run(self) -> None:
        try:
            with closing(self._shots):
                if self._triggered:
                    self._send({"armed": True, "more": True})
                self._push()
        except OSError:
            pass  # the other side went away, or a fault closed the connection
        finally:
            self._ended(self)

    def _push(self) -> None:
        """Send a message for each frame, unless it is lost, until there were enough or nobody wants more."""
        losing, overrun = 0, False
        for taken in count(1):
            fault = "" if losing else self._wire.begin()
            if fault == "buffer_overrun":
                losing, overrun = OVERRUN_FRAMES, True
            shot = next(self._shots, None)
            if shot is None:
                self._send({"more": False})
                return
            more = taken != self._frames
            if losing:
                losing -= 1
            elif fault != "lost_frame":
                header = {**_description(shot), "buffer_overrun": overrun, "more": more}
                self._send(header, self._darkroom.develop(shot, fault))
                overrun = False
            if not more:
                break
        if overrun:
            self._send({"error": "the buffer ran over: frames are lost", "overrun": True, "more": False})

    def _send(self, header: dict[str, Any], frame: Frame | None = None) -> None:
        self._said_all = not header["more"]  # before it is said: the next request may come at once
        self._wire.send(header, frame)


def _description(shot: Shot) -> dict[str, Any]:
    exposure = shot.exposure
    return {
        "shape_px": shot.shape_px,
        "exposure_number": exposure.number,
        "start_s": exposure.start_s,
        "timestamp_us": round(exposure.end_s * US_PER_S),
        "missed_triggers": shot.missed_triggers,
    }
