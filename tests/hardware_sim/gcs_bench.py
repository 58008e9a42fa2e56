"""A controller on a clock that the test drives, without a socket; and real sockets for those that need one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock, ManualClock
from hardware_sim.faults import Armed, Faults
from hardware_sim.gcs_profiles import E727, Profile
from hardware_sim.gcs_server import GcsController
from hardware_sim.landing import WanderingLanding
from hardware_sim.mechanics import Scanner
from hardware_sim.settings import MechanicsSettings
from hardware_sim.trigger_lines import TriggerLines
from hardware_sim.wire import Listener, Wire
from tests.hardware_sim.stage_bench import EXACT

SEED = 3


class Chunks:
    """A channel that delivers what it was given, then ends; it keeps what is sent to it."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)
        self.sent = b""

    def recv(self, size: int, /) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def close(self) -> None:
        pass


class Bench:
    """A scanner, its trigger lines and one controller."""

    def __init__(
        self, profile: Profile = E727, settings: MechanicsSettings = EXACT, clock: Clock | None = None
    ) -> None:
        self.manual = ManualClock()
        self.clock = clock or self.manual
        landing = WanderingLanding(0.0, generator(SEED, Stream.LANDING))
        self.scanner = Scanner(settings, 0.02, self.clock, SEED, landing)
        self.triggers = TriggerLines(self.clock)
        self.faults = Faults(self.clock, SEED)
        self.controller = GcsController(self.scanner, self.triggers, self.clock, profile)

    def say(self, *chunks: bytes) -> bytes:
        """Send bytes in these pieces and return all that comes back."""
        channel = Chunks(*chunks)
        self.controller.serve(Wire(channel, "scanner", self.faults))
        return channel.sent

    def error_after(self, *lines: str) -> int:
        """Send lines and read the error slot."""
        return int(self.say("\n".join([*lines, "ERR?", ""]).encode()))

    def do(self, *lines: str) -> None:
        """Send lines, none of which may fail."""
        for line in lines:
            error = self.error_after(line)
            assert error == 0, f"{line}: error {error}"

    def values(self, query: str) -> dict[str, str]:
        """Ask for a table of values."""
        return dict(line.strip().split("=") for line in self.say(query.encode() + b"\n").decode().splitlines())

    def rows(self, query: str) -> np.ndarray:
        """Ask for an array, and return its rows."""
        _, _, data = self.say(query.encode() + b"\n").decode().partition("# END_HEADER \n")
        return np.array([[float(word) for word in line.split()] for line in data.splitlines()])

    def wait(self, duration_s: float) -> None:
        """Let time pass."""
        self.manual.advance(duration_s)

    def move(self, target_um: float, axis: str = "1") -> None:
        """Move an axis and let it settle."""
        self.do(f"MOV {axis} {target_um!r}")
        self.wait(1.0)

    def edges_s(self, line: int) -> list[float]:
        """List the edges of a trigger line, past and to come within ten seconds."""
        return self.triggers.edges_s(line, self.clock.now_s() + 10.0)

    def arm(self, name: str, **more: int) -> None:
        """Let a fault befall the next operation."""
        self.faults.arm(Armed.model_validate({"name": name, "device": "scanner", **more}))

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Serve on a port of this machine."""

        def serve(connection: socket.socket) -> None:
            self.controller.serve(Wire(connection, "scanner", self.faults))

        listener = Listener("gcs", serve)
        try:
            yield listener.port
        finally:
            listener.close()
