"""A camera that is turned on its microscope, and whose rows and columns are not quite at right angles there."""

import math
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.resampling import LOBES, Float
from hardware_sim.settings import CameraSettings

Shape = tuple[int, int]


class View(Protocol):
    """One kind of optics above one specimen."""

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show brightness (rows, columns) around a point; only a sphere on the probe minds the gap."""
        ...


def turn_of(settings: CameraSettings) -> Float:
    """Lead from the camera's axes (x, y) to the stage's: (2, 2), of determinant 1.

    A symmetric shear, so that it adds nothing to the rotation: rows and columns lean towards each other, half each.
    """
    angle, half = math.radians(settings.rotation_deg), math.tan(math.radians(settings.shear_deg) / 2)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1.0, half], [half, 1.0]]) / math.sqrt(1 - half**2)
    turn: Float = rotation @ shear
    return turn


class TurnedView:
    """Looks at an upright picture, which is a little larger, through a turned camera."""

    def __init__(self, turn: Float, shape_px: Shape, open_upright: Callable[[Shape], View]) -> None:
        self._shape_px = shape_px
        upright_px = _around(turn, shape_px)
        self._upright = open_upright(upright_px)
        centre, upright_centre = _centre(shape_px), _centre(upright_px)
        self._into_upright = np.column_stack([turn, upright_centre - turn @ centre])

    def render(self, x_um: float, y_um: float, defocus_um: float, gap_um: float) -> Image:
        """Show brightness (rows, columns) around a point, which stays in the middle."""
        upright = self._upright.render(x_um, y_um, defocus_um, gap_um)
        rows, columns = self._shape_px
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        turned = cv2.warpAffine(upright, self._into_upright, (columns, rows), flags=flags)
        return np.asarray(turned, dtype=np.float32)


def _around(turn: Float, shape_px: Shape) -> Shape:
    """Find an upright frame (rows, columns) that holds the turned one, with room for the interpolation."""
    reach = np.abs(turn) @ np.array(shape_px[::-1]) / 2 - np.array(shape_px[::-1]) / 2
    more_x, more_y = (2 * (math.ceil(max(beyond, 0.0)) + LOBES) for beyond in reach)
    return shape_px[0] + more_y, shape_px[1] + more_x


def _centre(shape_px: Shape) -> Float:
    """Coordinates (x, y) of a frame's middle."""
    return (np.array(shape_px[::-1], dtype=np.float64) - 1) / 2
