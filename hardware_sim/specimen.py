"""What there is to see and to feel: reflectance and height of a specimen."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hardware_sim.alloy import draw_alloy
from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.chip import draw_chip
from hardware_sim.errors import UsageError

DEFAULT_PIXEL_NM = 20.0
GENERATED = {"chip": draw_chip, "alloy": draw_alloy}
GENERATED_SIDE_UM = 100.0
GENERATED_SIDE_PX = (64, 6000)
"""Fewest and most; a pixel finer than the most allows makes the specimen smaller."""
IMAGE_RELIEF_UM = 0.3
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

    Raises:
        UsageError: no such specimen, an unreadable image, or a pixel size that does not suit.
    """
    pixel_um = (DEFAULT_PIXEL_NM if pixel_nm is None else pixel_nm) / 1000.0
    if name in GENERATED:
        fewest, most = GENERATED_SIDE_PX
        side_px = min(round(GENERATED_SIDE_UM / pixel_um), most)
        if side_px < fewest:
            raise UsageError(f"--pixel-nm: {pixel_nm} is outside 0..{GENERATED_SIDE_UM * 1000 / fewest} for {name}")
        reflectance, height_um = GENERATED[name]((side_px, side_px), pixel_um, generator(seed, Stream.SPECIMEN))
    else:
        reflectance = _read_image(name)
        height_um = np.float32(IMAGE_RELIEF_UM) * reflectance
    softened = cv2.GaussianBlur(height_um, (0, 0), HEIGHT_STEP_PX / 2)
    coarse = np.ascontiguousarray(np.asarray(softened, dtype=np.float32)[::HEIGHT_STEP_PX, ::HEIGHT_STEP_PX])
    return Specimen(name, pixel_um, reflectance, coarse)


def _read_image(name: str) -> Image:
    """Read an 8 or 16 bit image as luminance, its darkest point 0 and its brightest 1; a constant image is 0.5."""
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"--specimen: {name!r} is neither {' nor '.join(GENERATED)} nor an image file")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said once, below
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise UsageError(f"--specimen: {name} cannot be read as an image") from error
    if pixels is None:
        raise UsageError(f"--specimen: {name} cannot be read as an image")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"--specimen: {name} has {pixels.dtype} pixels; 8 or 16 bit unsigned are read")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY) if pixels.shape[2] >= 3 else pixels[..., 0]
    grey = np.asarray(pixels, dtype=np.float32)
    darkest, brightest = float(grey.min()), float(grey.max())
    if brightest == darkest:
        return np.full_like(grey, 0.5)
    return (grey - np.float32(darkest)) / np.float32(brightest - darkest)
