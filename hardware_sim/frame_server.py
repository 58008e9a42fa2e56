"""Hands frames to the camera device, which lives in the process of whoever acquires."""

import json
import math
from typing import Any

from hardware_sim.frame_protocol import LONGEST_EXPOSURE_S, PIXEL_TYPE, SHORTEST_EXPOSURE_S
from hardware_sim.wire import Wire
from hardware_sim.world import World


class FrameServer:
    """Exposes in the world what is asked for on the wire."""

    def __init__(self, world: World, speed: float) -> None:
        self._world = world
        self._speed = speed

    def serve(self, wire: Wire) -> None:
        """Talk to one connection until it ends."""
        for line in wire.lines(b"\n"):
            wire.begin()
            try:
                header, pixels = self._answer(json.loads(line))
            except ValueError as error:
                header, pixels = {"error": str(error)}, b""
            wire.send(json.dumps({**header, "nbytes": len(pixels)}).encode() + b"\n" + pixels)

    def _answer(self, request: Any) -> tuple[dict[str, Any], bytes]:
        match request:
            case {"ask": "describe"}:
                camera = self._world.settings.camera
                return {"shape_px": camera.frame_shape_px, "speed": self._speed}, b""
            case {"ask": "expose", "exposure_s": int() | float() as exposure_s}:
                if not (math.isfinite(exposure_s) and SHORTEST_EXPOSURE_S <= exposure_s <= LONGEST_EXPOSURE_S):
                    raise ValueError(f"exposure_s: {exposure_s} is outside {SHORTEST_EXPOSURE_S}..{LONGEST_EXPOSURE_S}")
                frame, exposure = self._world.expose(float(exposure_s))
                return {"exposure_number": exposure.number}, frame.astype(PIXEL_TYPE, copy=False).tobytes()
        raise ValueError(f"{request!r} is not a request")
