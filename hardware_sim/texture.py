"""Irregularity of materials: smooth noise of a given grain."""

import cv2
import numpy as np

from hardware_sim.canvas import Image


def smooth_noise(shape_px: tuple[int, int], grain_px: float, random: np.random.Generator) -> Image:
    """Draw noise of about unit variance whose grains are `grain_px` wide, (rows, columns)."""
    rows, columns = shape_px
    coarse = (int(rows / grain_px) + 3, int(columns / grain_px) + 3)
    noise = random.standard_normal(coarse, dtype=np.float32)
    return np.asarray(cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
