"""One twin: a world, all the ends that lead to it, and the files that say where they are."""

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hardware_sim.esp301_server import Esp301Controller
from hardware_sim.frame_server import FrameServer
from hardware_sim.gcs_profiles import E517
from hardware_sim.gcs_server import GcsController
from hardware_sim.pty_line import PtyLine
from hardware_sim.rig_text import Ends, camera_text, rig_text
from hardware_sim.scpi_server import ScpiVoltmeter
from hardware_sim.wire import HOST, Listener, Wire
from hardware_sim.world import World
from hardware_sim.world_server import WorldServer
from hardware_sim.xps_server import GROUP, POSITIONER, XpsController


class Twin:
    """Serves one world on loopback from entering to leaving.

    The files that lead to it lie beside `ready_file` and carry its name (`ready.json`: `ready.rig.toml`,
    `ready.camera.cfg`), or in a temporary folder that leaves with the twin.
    """

    def __init__(self, world: World, speed: float, ready_file: Path | None) -> None:
        self._world = world
        self._speed = speed
        self._ready_file = ready_file
        self._open = ExitStack()
        self.ready: dict[str, Any] = {}
        """What the ready file says."""

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            beside = self._ready_file
            if beside is None:
                beside = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="nanoraster-twin-"))) / "twin"
            self.ready = self._start(opened, beside.resolve())
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _start(self, opened: ExitStack, beside: Path) -> dict[str, Any]:
        world = self._world
        world.cantilever.prepare()

        def listen(name: str, serve: Callable[[socket.socket], None]) -> int:
            listener = Listener(name, serve)
            opened.callback(listener.close)
            return listener.port

        def faulty(device: str, serve: Callable[[Wire], None]) -> Callable[[socket.socket], None]:
            return lambda connection: serve(Wire(connection, device, world.faults))

        scanner, triggers, clock = world.scanner, world.triggers, world.clock
        e727 = GcsController(scanner, triggers, clock)
        e517 = GcsController(scanner, triggers, clock, E517)
        scanner_port = listen("scanner", faulty("scanner", e727.serve))
        e517_port = listen("scanner_e517", faulty("scanner", e517.serve))
        esp301, voltmeter = Esp301Controller(world.focus, world.clock), ScpiVoltmeter(world.read_volts)
        focus_url = f"socket://{HOST}:{listen('focus', faulty('focus', esp301.serve))}"
        focus_tty = PtyLine(
            beside.with_suffix(".focus.tty"), lambda channel: esp301.serve(Wire(channel, "focus", world.faults))
        )
        opened.callback(focus_tty.close)
        xps_port = listen("xps", faulty("focus", XpsController(world.focus).serve))
        force_url = f"socket://{HOST}:{listen('force', faulty('force', voltmeter.serve))}"
        frames_port = listen("frames", FrameServer(world, self._speed).serve)
        world_url = f"http://{HOST}:{listen('world', WorldServer(world).serve)}"
        camera_cfg, rig = beside.with_suffix(".camera.cfg"), beside.with_suffix(".rig.toml")
        video_url = f"{world_url}/video.mjpg"
        ends = Ends(scanner_port, focus_url, frames_port, camera_cfg, force_url, video_url)
        write_whole(camera_cfg, camera_text(ends))
        write_whole(rig, rig_text(world, ends))
        return {
            "scanner": {"protocol": "gcs2", "host": HOST, "port": scanner_port},
            "scanner_e517": {"protocol": "gcs2", "host": HOST, "port": e517_port},
            "focus": {"protocol": "esp301", "url": focus_url, "tty": str(focus_tty.path)},
            "xps": {"protocol": "xps", "host": HOST, "port": xps_port, "group": GROUP, "positioner": POSITIONER},
            "force": {"protocol": "scpi", "url": force_url},
            "camera": {"protocol": "mmcore", "cfg": str(camera_cfg)},
            "video": {"url": video_url},
            "world": {"url": world_url},
            "rig": str(rig),
            "specimen": {"size_um": world.specimen.size_um, "pixel_um": world.specimen.pixel_um},
            "pid": os.getpid(),
        }


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads a part of it."""
    handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(draft).chmod(0o644)
    os.replace(draft, path)
