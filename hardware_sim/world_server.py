"""The world over HTTP: the truth for those who test, and a picture for those who watch."""

import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import cv2
import numpy as np
from pydantic import FiniteFloat, ValidationError

from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.fault_kinds import DEVICES, known
from hardware_sim.faults import Armed, in_one_line
from hardware_sim.image_file import UM_PER_LEVEL
from hardware_sim.settings import Model
from hardware_sim.specimen import HEIGHT_STEP_PX
from hardware_sim.video_server import BOUNDARY, STREAM_TYPE, VideoStream, still
from hardware_sim.wire import Wire
from hardware_sim.world import PREVIEW_EXPOSURE_S, World

PREVIEW_INTERVAL_S = 0.1
LONGEST_BODY = 65_536


class Watch(Model):
    """What `POST /force` takes: from now on, forces above this are counted."""

    over_nn: FiniteFloat


class WorldServer:
    """Answers HTTP requests about one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends."""
        _Request(connection, connection.getpeername(), self._world)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, peer: tuple[str, int], world: World) -> None:
        self._world = world
        super().__init__(connection, peer, None)  # type: ignore[arg-type]  # the server object is for logging only

    def log_message(self, format: str, *args: Any) -> None:
        """Keep stderr for errors."""

    def do_GET(self) -> None:
        """Answer a path that exists; the others are 404."""
        path, _ = self._where()
        answers: dict[str, Callable[[], None]] = {
            "/truth": lambda: self._send_json(truth(self._world)),
            "/exposures": self._send_exposures,
            "/specimen": self._send_specimen,
            "/height": self._send_height,
            "/faults": lambda: self._send_json(self._world.faults.injected()),
            "/faults/kinds": lambda: self._send_json(kinds()),
            "/force": self._send_force,
            "/camera.mjpg": self._send_preview,
            "/video.mjpg": self._send_video,
            "/video/frame.png": self._send_video_frame,
        }
        answers.get(path, self._send_unknown)()

    def do_POST(self) -> None:
        """Arm a fault, or begin to watch the force."""
        path, _ = self._where()
        answers = {"/faults": self._arm_fault, "/force": self._watch_force}
        length = self.headers.get("Content-Length", "")
        if path not in answers:
            self.close_connection = True  # the body was not read
            self._send_unknown()
            return
        if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > LONGEST_BODY:
            self.close_connection = True
            wrong = f"Content-Length: {length[:20]!r} is not a whole number within 0..{LONGEST_BODY}"
            self._send_json({"error": wrong}, status=411 if not length else 413)
            return
        try:
            answers[path](self.rfile.read(int(length)))
        except ValidationError as error:
            self._send_json({"error": in_one_line(error)}, status=400)

    def _arm_fault(self, body: bytes) -> None:
        armed = Armed.model_validate_json(body)
        self._world.faults.arm(armed)
        self._send_json({**armed.model_dump(), "parameters": armed.parameters()}, status=201)

    def _watch_force(self, body: bytes) -> None:
        self._world.cantilever.watch_force(Watch.model_validate_json(body).over_nn)
        self._send_force()

    def _send_force(self) -> None:
        self._send_json(self._world.cantilever.watched_force())

    def _send_unknown(self) -> None:
        self._send_json({"error": f"{self.command} {self._where()[0]} is not known"}, status=404)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request, or none that is served, in JSON as well."""
        self.close_connection = True
        self._send_json({"error": message or HTTPStatus(code).phrase}, status=code)

    def _where(self) -> tuple[str, dict[str, list[str]]]:
        """Take the target of the request apart: its path, and the parameters behind it."""
        path, _, query = self.path.partition("?")
        return path, parse_qs(query)

    def _send_json(self, content: Any, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _send_exposures(self) -> None:
        after = self._where()[1].get("after", ["0"])[0]
        if not re.fullmatch(r"[0-9]{1,18}", after):
            self._send_json({"error": f"after: {after[:40]!r} is not a whole number of 0 or more"}, status=400)
            return
        self._send_json({"exposures": [asdict(exposure) for exposure in self._world.exposures_after(int(after))]})

    def _send_specimen(self) -> None:
        specimen = self._world.specimen
        self._send_map(specimen.reflectance, 1 / 65535, specimen.pixel_um, {})

    def _send_height(self) -> None:
        """Send the heights at every fourth row and column, which is all that the world keeps."""
        specimen = self._world.specimen
        um_per_level = max(float(specimen.coarse_height_um.max()) / 65535, UM_PER_LEVEL)
        node_um = specimen.pixel_um * HEIGHT_STEP_PX
        self._send_map(specimen.coarse_height_um, um_per_level, node_um, {"X-Um-Per-Level": f"{um_per_level:.12g}"})

    def _send_map(self, values: Image, per_level: float, pixel_um: float, headers: dict[str, str]) -> None:
        levels = np.round(np.maximum(values, 0.0) * np.float32(1 / per_level)).astype(np.uint16)
        # on loopback, packing costs more time than it saves
        _, encoded = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
        where = {"X-Pixel-Size-Um": f"{pixel_um:.12g}", "X-Origin-Um": "0,0"}
        self._send(encoded.tobytes(), "image/png", headers={**where, **headers})

    def _send_video(self) -> None:
        """Show the electron microscope until the watcher leaves."""
        cycle = self._cycle()
        if cycle is not None:
            self._begin_stream()
            VideoStream(self._world, cycle, Wire(self.connection, "video", self._world.faults)).send()

    def _send_video_frame(self) -> None:
        cycle = self._cycle()
        if cycle is not None:
            body, headers = still(self._world, cycle)
            self._send(body, "image/png", headers=headers)

    def _cycle(self) -> str | None:
        """Read which speed of the scan is asked for; None if there is no such, which then has been answered."""
        electron = self._world.settings.electron
        cycle = self._where()[1].get("cycle", [electron.cycle])[0]
        if cycle in electron.cycles:
            return cycle
        self._send_json({"error": f"cycle: {cycle!r} is not one of {', '.join(electron.cycles)}"}, status=400)
        return None

    def _begin_stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", STREAM_TYPE)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send_preview(self) -> None:
        """Show what the camera sees until the watcher leaves."""
        self._begin_stream()
        random = generator(self._world.seed, Stream.PREVIEW)
        while True:
            picture = _jpeg(self._world, random)
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
            time.sleep(PREVIEW_INTERVAL_S)


def kinds() -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Of each device its faults, and of each fault its parameters: `usual`, `low`, `high`."""
    return {
        device: {
            name: {key: {"usual": each.usual, "low": each.low, "high": each.high} for key, each in parameters.items()}
            for name, parameters in known(device).items()
        }
        for device in DEVICES
    }


def truth(world: World) -> dict[str, Any]:
    """What is really the case at this moment."""
    now_s = world.clock.now_s()
    true_um = world.scanner.true_um(now_s)
    return {
        "time_s": now_s,
        "scanner_um": true_um.tolist(),
        "reported_um": world.scanner.reported_um(now_s).tolist(),
        "focus_um": world.focus.position_mm() * 1000.0,
        "force_nn": world.cantilever.force_nn(),
        "drift_um": world.scanner.drift_um(now_s).tolist(),
        "probe_contact": world.cantilever.touches(),
    }


def _jpeg(world: World, random: np.random.Generator) -> bytes:
    """Show the present view in 8 bit: black is the dark offset, white a pixel that reflects everything."""
    camera = world.settings.camera
    white_dn = camera.electrons_per_s * PREVIEW_EXPOSURE_S / camera.electrons_per_dn
    levels = (world.preview(random).astype(np.float32) - camera.offset_dn) * (255.0 / white_dn)
    _, encoded = cv2.imencode(".jpg", np.clip(levels, 0, 255).astype(np.uint8))
    return encoded.tobytes()
