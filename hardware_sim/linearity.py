"""What a capacitive sensor gets wrong about a place: smooth, repeatable, and invisible to whoever reads it."""

import math

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.motion import Vector

ORDERS = 2.0 * math.pi * np.arange(1, 4)
CURVE = np.linspace(0.0, 1.0, 1001)


class Linearity:
    """Error of each axis, at most `part` of its travel; none at the ends and in the middle, where it is adjusted."""

    def __init__(self, part: float, travels_um: Vector, seed: int) -> None:
        self._travels_um = travels_um
        weights = generator(seed, Stream.LINEARITY).normal(size=(3, len(ORDERS))) / np.arange(1, len(ORDERS) + 1)
        worst = np.abs(_waves(CURVE[:, None], weights)).max(axis=0)
        self._weights_um = weights * (part * travels_um / worst)[:, None]

    def um_at(self, positions_um: Vector) -> Vector:
        """Error (n, 3) at each of `positions_um` (n, 3)."""
        return _waves(np.clip(positions_um / self._travels_um, 0.0, 1.0), self._weights_um)


def _waves(places: Vector, weights: Vector) -> Vector:
    waves: Vector = (np.sin(places[:, :, None] * ORDERS) * weights).sum(axis=2)
    return waves
