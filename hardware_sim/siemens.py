"""A Siemens star: spokes that become finer towards the centre, until no optics tells them apart."""

import math

import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.resampling import Float, centred

SPOKES = 36
"""OpticalNet's star."""
RADIUS = 0.45
"""Of the shorter side of the specimen."""
DARK, BRIGHT = 0.1, 0.8
SPOKE_HEIGHT_UM = 0.13
"""Thickness of OpticalNet's gold film."""
BAND_ROWS = 256
EDGE_REACH_PX = 0.75
"""An edge farther from the centre of a pixel does not cross it."""
LEAST_NORMAL = 1e-3
"""Keeps the coverage finite where an edge is parallel to the pixels."""


def draw_siemens(
    shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator, spokes: int = SPOKES
) -> tuple[Image, Image]:
    """Draw reflectance (0..1) and height (um) of a star in the middle, both (rows, columns); nothing is random."""
    covered = np.empty(shape_px, dtype=np.float32)
    radius_px = RADIUS * min(shape_px)
    for top in range(0, shape_px[0], BAND_ROWS):
        rows = slice(top, min(top + BAND_ROWS, shape_px[0]))
        y_px, x_px = np.meshgrid(centred(shape_px[0])[rows], centred(shape_px[1]), indexing="ij")
        covered[rows] = _on_spokes(y_px, x_px, spokes) * np.clip(0.5 + radius_px - np.hypot(x_px, y_px), 0.0, 1.0)
    return np.float32(DARK) + np.float32(BRIGHT - DARK) * covered, np.float32(SPOKE_HEIGHT_UM) * covered


def _on_spokes(y_px: Float, x_px: Float, spokes: int) -> Image:
    """Measure which part of each pixel lies on a spoke."""
    radius_px, phase = np.hypot(x_px, y_px), np.arctan2(y_px, x_px) * (spokes / (2 * math.pi))
    covered = ((phase % 1.0) < 0.5).astype(np.float32)
    to_edge_px = radius_px * np.abs(np.sin((np.round(phase * 2) / 2 - phase) * (2 * math.pi / spokes)))
    crossed = to_edge_px < EDGE_REACH_PX
    covered[crossed] = _crossed(radius_px[crossed], phase[crossed], spokes)
    return covered


def _crossed(radius_px: Float, phase: Float, spokes: int) -> Float:
    """Add up the half planes between the nearest edges; at the hub, where more edges meet, the mean is one half."""
    angle = phase * (2 * math.pi / spokes)
    normal_x, normal_y = np.abs(np.sin(angle)), np.abs(np.cos(angle))
    covered = np.zeros_like(phase)
    for spoke in (-1.0, 0.0, 1.0):
        for edge, sign in ((spoke, 1.0), (spoke + 0.5, -1.0)):
            distance_px = radius_px * np.sin((phase % 1.0 - edge) * (2 * math.pi / spokes))
            covered += sign * _half_plane(distance_px, normal_x, normal_y)
    hub = radius_px * (2 * math.pi / spokes) < 2 * EDGE_REACH_PX
    return np.where(hub, 0.5, np.clip(covered, 0.0, 1.0))


def _half_plane(distance_px: Float, normal_x: Float, normal_y: Float) -> Float:
    """Measure the part of a unit square on the far side of a line, from its centre's distance and the normal."""
    a, b = np.maximum(normal_x, LEAST_NORMAL), np.maximum(normal_y, LEAST_NORMAL)

    def squared(distance: Float) -> Float:
        return np.maximum(distance, 0.0) ** 2

    corners = squared(distance_px + (a + b) / 2) - squared(distance_px + (a - b) / 2)
    corners += squared(distance_px - (a + b) / 2) - squared(distance_px - (a - b) / 2)
    covered: Float = corners / (2 * a * b)
    return covered
