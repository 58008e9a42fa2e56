"""A generated eutectic alloy: grains of two-phase lamellae, each with its own direction and spacing."""

import math

import cv2
import numpy as np

from hardware_sim.canvas import Image
from hardware_sim.texture import smooth_noise

GRAIN_UM = 9.0
SPACING_UM = (0.5, 0.8)
"""Of lamellae of one phase; 0.55 to 0.75 are what the CEMI paper finds mostly in AlCoCrFeNi2.1."""
DARK_PHASE, BRIGHT_PHASE = 0.25, 0.72
RELIEF_UM = 0.05
"""The harder phase stands proud after polishing."""
BAND_ROWS = 256


def draw_alloy(shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator) -> tuple[Image, Image]:
    """Draw reflectance (0..1) and height (um) of a polished section, both (rows, columns)."""
    labels = _grains(shape_px, pixel_um, random)
    count = int(labels.max()) + 1
    angle = random.uniform(0.0, math.pi, count)
    wave_per_px = 2 * math.pi * pixel_um / random.uniform(*SPACING_UM, count)
    along_x = (np.cos(angle) * wave_per_px).astype(np.float32)
    along_y = (np.sin(angle) * wave_per_px).astype(np.float32)
    phase = random.uniform(0.0, 2 * math.pi, count).astype(np.float32)
    tone = random.normal(0.0, 0.04, count).astype(np.float32)
    faults = 0.9 * smooth_noise(shape_px, max(0.8 / pixel_um, 1.0), random)
    share = np.empty(shape_px, dtype=np.float32)
    x_px = np.arange(shape_px[1], dtype=np.float32)
    for top in range(0, shape_px[0], BAND_ROWS):  # in bands: a handful of full-size temporaries would not be small
        rows = slice(top, min(top + BAND_ROWS, shape_px[0]))
        label, y_px = labels[rows], np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        wave = np.sin(along_x[label] * x_px + along_y[label] * y_px + phase[label] + faults[rows])
        share[rows] = np.clip(0.5 + 1.5 * wave, 0.0, 1.0)
        faults[rows] = tone[label]
    grey = DARK_PHASE + (BRIGHT_PHASE - DARK_PHASE) * share + faults
    grey += 0.03 * smooth_noise(shape_px, max(0.08 / pixel_um, 1.0), random)
    return np.clip(grey, 0.0, 1.0, out=grey), np.float32(RELIEF_UM) * share


def _grains(shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator) -> np.ndarray:
    """Label each pixel with its nearest seed (Voronoi), (rows, columns) int32 from 0."""
    rows, columns = shape_px
    count = max(int(rows * columns * (pixel_um / GRAIN_UM) ** 2), 1)
    away = np.full(shape_px, 255, dtype=np.uint8)
    away[random.integers(0, rows, count), random.integers(0, columns, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(labels) - 1
