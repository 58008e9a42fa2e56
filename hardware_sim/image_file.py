"""Specimens that somebody else made: an image file, and a file of heights beside it."""

from pathlib import Path

import cv2
import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.errors import UsageError

HEIGHT_SUFFIX = ".height.png"
"""`chip.png` has its heights in `chip.height.png`: 16 bit, as many rows and columns."""
UM_PER_LEVEL = 0.0001
"""Of a file of heights: 0.1 nm, so that 65535 is 6.5535 um."""
RELIEF_UM = 0.3
"""Without a file of heights, what is brightest stands so far above what is darkest."""


def read_image(path: Path) -> tuple[Image, Image]:
    """Read reflectance (0..1) and height (um) of an image file, both (rows, columns).

    Raises:
        UsageError: unreadable, not of 8 or 16 bit, or heights that do not fit the image.
    """
    pixels = _pixels(path)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY) if pixels.shape[2] >= 3 else pixels[..., 0]
    reflectance = _stretched(np.asarray(pixels, dtype=np.float32))
    heights = path.with_suffix(HEIGHT_SUFFIX)
    if not heights.is_file():
        return reflectance, np.float32(RELIEF_UM) * reflectance
    levels = _pixels(heights)
    if levels.dtype != np.uint16 or levels.shape != reflectance.shape:
        raise UsageError(
            f"--specimen: {heights} has {levels.dtype} pixels {levels.shape}; "
            f"heights are 16 bit, grey, and as large as the image, which is {reflectance.shape}"
        )
    return reflectance, np.float32(UM_PER_LEVEL) * levels.astype(np.float32)


def _pixels(path: Path) -> np.ndarray:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said once, below
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise UsageError(f"--specimen: {path} cannot be read as an image") from error
    if pixels is None:
        raise UsageError(f"--specimen: {path} cannot be read as an image")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"--specimen: {path} has {pixels.dtype} pixels; 8 or 16 bit unsigned are read")
    return np.asarray(pixels)


def _stretched(grey: Image) -> Image:
    """Scale luminance so that its darkest point is 0 and its brightest 1; a constant image is 0.5."""
    darkest, brightest = float(grey.min()), float(grey.max())
    if brightest == darkest:
        return np.full_like(grey, 0.5)
    return (grey - np.float32(darkest)) / np.float32(brightest - darkest)
