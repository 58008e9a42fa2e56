"""Hands frames to the camera device, which lives in the process of whoever acquires."""

import socket
import threading
from typing import Any

from pydantic import ValidationError

from hardware_sim.faults import in_one_line
from hardware_sim.frame_protocol import REQUESTS, Describe, Expose, Stop
from hardware_sim.frame_sequence import Darkroom, Sequence
from hardware_sim.frame_wire import FrameWire
from hardware_sim.world import World


class FrameServer:
    """Exposes in the world what is asked for on any of its wires."""

    def __init__(self, world: World, speed: float) -> None:
        self._world = world
        self._speed = speed
        self._darkroom = Darkroom(world.camera)
        self._lock = threading.Lock()
        self._running: set[Sequence] = set()

    def serve(self, connection: socket.socket) -> None:
        """Talk to one connection until it ends."""
        wire = FrameWire(connection, self._world.faults)
        sequence: Sequence | None = None
        try:
            for line in wire.requests():
                try:
                    sequence = self._heed(REQUESTS.validate_json(line), wire, sequence)
                except ValidationError as error:
                    wire.send({"error": in_one_line(error), "more": False})
                except ValueError as error:
                    wire.send({"error": str(error), "more": False})
        finally:
            if sequence is not None:
                sequence.stop()

    def stop(self) -> None:
        """End all sequences, and return once none of their frames will be sent any more."""
        with self._lock:
            running = list(self._running)
        for sequence in running:
            sequence.stop()

    def _heed(self, request: Describe | Expose | Stop, wire: FrameWire, sequence: Sequence | None) -> Sequence | None:
        """Do what is asked; returns the sequence that runs on this wire, if any."""
        match request:
            case Describe():
                wire.begin()
                wire.send({**self._description(), "more": False})
            case Stop():
                self.stop()
                wire.send({"stopped": True, "more": False})
            case Expose():
                if sequence is not None and sequence.is_running():
                    raise ValueError("a sequence is under way")
                sequence = Sequence(self._darkroom, wire, request, self._forget)
                with self._lock:
                    self._running.add(sequence)
                    sequence.start()
        return sequence

    def _forget(self, sequence: Sequence) -> None:
        with self._lock:
            self._running.discard(sequence)

    def _description(self) -> dict[str, Any]:
        camera = self._world.settings.camera
        return {
            "shape_px": camera.frame_shape_px,
            "speed": self._speed,
            "line_time_us": {"fast scan": camera.line_time_us, "slow scan": camera.slow_line_time_us},
            "symmetric_region": camera.symmetric_region,
        }
