"""What there is to see and to feel: reflectance and height of a specimen."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hardware_sim.alloy import draw_alloy
from hardware_sim.blocks import draw_blocks
from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.chip import draw_chip
from hardware_sim.errors import UsageError
from hardware_sim.image_file import read_image
from hardware_sim.siemens import draw_siemens

DEFAULT_PIXEL_NM = 20.0
GENERATED: dict[str, Callable[[tuple[int, int], float, np.random.Generator], tuple[Image, Image]]] = {
    "chip": draw_chip,
    "alloy": draw_alloy,
    "siemens": draw_siemens,
    "blocks": draw_blocks,
}
GENERATED_SIDE_UM = 100.0
GENERATED_SIDE_PX = (64, 6000)
"""Fewest and most; a pixel finer than the most allows makes the specimen smaller."""
SPOKES_RANGE = (12, 720)
HEIGHT_STEP_PX = 4
"""Heights are smooth on this scale, so that every fourth is enough."""


@dataclass(frozen=True)
class Specimen:
    """Maps of a specimen; the centre of pixel (r, c) lies at (x, y) = (c, r) * pixel_um, in scanner coordinates."""

    name: str
    pixel_um: float
    reflectance: Image
    """(rows, columns), 0..1."""
    coarse_height_um: Image
    """Height at every HEIGHT_STEP_PX-th row and column."""

    @property
    def remark(self) -> str:
        """What a user who asked for this specimen should know; nothing, mostly."""
        side_px = GENERATED_SIDE_PX[1]
        if not _is_generated(self.name) or side_px * self.pixel_um >= GENERATED_SIDE_UM:
            return ""
        width_um, height_um = self.size_um
        return (
            f"--pixel-nm {self.pixel_um * 1000:g}: {self.name} covers {width_um:g} x {height_um:g} um of the travel, "
            f"as no more than {side_px} pixels a side are generated; around it all is mean grey"
        )

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height (x, y)."""
        rows, columns = self.reflectance.shape
        return columns * self.pixel_um, rows * self.pixel_um

    def height_um(self, x_um: float, y_um: float) -> float:
        """Height at a point, between the nodes linearly; outside the specimen that of its edge."""
        rows, columns = self.coarse_height_um.shape
        step_um = self.pixel_um * HEIGHT_STEP_PX
        row, column = min(max(y_um / step_um, 0.0), rows - 1.0), min(max(x_um / step_um, 0.0), columns - 1.0)
        top, left = min(int(row), max(rows - 2, 0)), min(int(column), max(columns - 2, 0))
        around = self.coarse_height_um[top : top + 2, left : left + 2]
        down = np.array([1 - (row - top), row - top])[: around.shape[0]]
        across = np.array([1 - (column - left), column - left])[: around.shape[1]]
        return float(down @ around @ across)


def load_specimen(name: str, pixel_nm: float | None, seed: int) -> Specimen:
    """Generate a specimen by its name, or read one from an image file.

    `siemens:72` is a star of 72 spokes.

    Raises:
        UsageError: no such specimen, an unreadable image, or a pixel size that does not suit.
    """
    pixel_um = (DEFAULT_PIXEL_NM if pixel_nm is None else pixel_nm) / 1000.0
    reflectance, height_um = _generated(name, pixel_um, seed) if _is_generated(name) else _read(name)
    softened = cv2.GaussianBlur(height_um, (0, 0), HEIGHT_STEP_PX / 2)
    coarse = np.ascontiguousarray(np.asarray(softened, dtype=np.float32)[::HEIGHT_STEP_PX, ::HEIGHT_STEP_PX])
    return Specimen(name, pixel_um, reflectance, coarse)


def _is_generated(name: str) -> bool:
    return name.partition(":")[0] in GENERATED


def _generated(name: str, pixel_um: float, seed: int) -> tuple[Image, Image]:
    fewest, most = GENERATED_SIDE_PX
    side_px = min(round(GENERATED_SIDE_UM / pixel_um), most)
    if side_px < fewest:
        least_um = GENERATED_SIDE_UM / fewest
        raise UsageError(f"--pixel-nm: {pixel_um * 1000} is outside 0..{least_um * 1000} for {name}")
    kind, _, detail = name.partition(":")
    shape_px, random = (side_px, side_px), generator(seed, Stream.SPECIMEN)
    if kind == "siemens" and detail:
        return draw_siemens(shape_px, pixel_um, random, _spokes(name, detail))
    if detail:
        raise UsageError(f"--specimen: {name!r}: only siemens takes a number, that of its spokes")
    return GENERATED[kind](shape_px, pixel_um, random)


def _spokes(name: str, detail: str) -> int:
    low, high = SPOKES_RANGE
    if not detail.isdecimal() or not low <= int(detail) <= high:
        raise UsageError(f"--specimen: {name!r}: the number of spokes is a whole one of {low}..{high}")
    return int(detail)


def _read(name: str) -> tuple[Image, Image]:
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"--specimen: {name!r} is neither {' nor '.join(GENERATED)} nor an image file")
    return read_image(path)
