"""OpticalNet's block sample: square openings in a gold film, on or off at random, on several grids."""

import numpy as np
from scipy import sparse

from hardware_sim.canvas import Image
from hardware_sim.resampling import sampled

UNIT_UM = 0.18
"""Side of an opening."""
GRID_UNITS = 66
"""Units along each side of a grid: the raster that the paper's numbers of samples add up to."""
MARGIN_UNITS = 18
"""Film around a grid: more than the 14.8 units of OpticalNet's field of view."""
FILL = (0.1, 0.6)
"""Part of the units that is open, drawn anew for each grid."""
FILM_HEIGHT_UM = 0.13


def draw_blocks(shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator) -> tuple[Image, Image]:
    """Draw transmittance (1: open) and height (um) of the film, both (rows, columns)."""
    down, across = (_coverage(count, pixel_um) for count in shape_px)
    opened = _openings((down.shape[1], across.shape[1]), random)
    transmittance = sampled(opened, down, across)
    return transmittance, np.float32(FILM_HEIGHT_UM) * (1 - transmittance)


def _openings(units: tuple[int, int], random: np.random.Generator) -> Image:
    """Draw which units are open (rows, columns), 0 or 1."""
    opened = np.zeros(units, dtype=np.float32)
    for top in range(MARGIN_UNITS, units[0] - MARGIN_UNITS, GRID_UNITS + MARGIN_UNITS):
        for left in range(MARGIN_UNITS, units[1] - MARGIN_UNITS, GRID_UNITS + MARGIN_UNITS):
            grid = opened[top : top + GRID_UNITS, left : left + GRID_UNITS]
            grid[...] = random.random(grid.shape) < random.uniform(*FILL)
    return opened


def _coverage(count_px: int, pixel_um: float) -> sparse.csr_matrix:
    """Make the matrix (pixels, units) of which part of a pixel each unit covers; pixel 0 is centred on 0."""
    units = int(count_px * pixel_um / UNIT_UM)
    low_um = (np.arange(count_px)[:, None] - 0.5) * pixel_um
    start_um = np.arange(units)[None, :] * UNIT_UM
    overlap_um = np.minimum(low_um + pixel_um, start_um + UNIT_UM) - np.maximum(low_um, start_um)
    return sparse.csr_matrix((np.maximum(overlap_um, 0.0) / pixel_um).astype(np.float32))
