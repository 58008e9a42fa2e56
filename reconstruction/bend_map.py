"""The picture of a distortion common to all tiles, as inline SVG: a grid as it would have to be bent."""

import numpy as np

from reconstruction.distortion import Distortion

WIDTH_PX = 500.0
LINES = 13
STRONGEST = 0.6  # of the distance between two lines: how far the greatest displacement is drawn


def bend_map(distortion: Distortion, tile_shape: tuple[int, int]) -> str:
    """Draw the displacements of a tile of `tile_shape` (rows, columns), exaggerated so that they can be seen."""
    field = distortion.displacement_px(tile_shape)
    rows, columns = (np.linspace(0, size - 1, LINES).astype(int) for size in tile_shape)
    x, y = (field[axis][np.ix_(rows, columns)] for axis in range(2))
    scale = WIDTH_PX / tile_shape[1]
    factor = STRONGEST * tile_shape[1] / (LINES - 1) / max(float(np.hypot(*field).max()), 1e-9)
    across, down = scale * (columns[None, :] + factor * x), scale * (rows[:, None] + factor * y)
    lines = [*zip(across, down, strict=True), *zip(across.T, down.T, strict=True)]
    shapes = "".join(
        f'<polyline points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in zip(*line, strict=True))}"/>' for line in lines
    )
    height, margin = scale * tile_shape[0], WIDTH_PX / (LINES - 1)
    box = f"{-margin:.0f} {-margin:.0f} {WIDTH_PX + 2 * margin:.0f} {height + 2 * margin:.0f}"
    frame = f'<rect width="{WIDTH_PX:.0f}" height="{height:.0f}"/>'
    return f'<svg class="bend" viewBox="{box}" role="img">{frame}{shapes}</svg>'


def strongest_px(distortion: Distortion, tile_shape: tuple[int, int]) -> float:
    """Give the greatest displacement in a tile of `tile_shape` (rows, columns), px."""
    return float(np.hypot(*distortion.displacement_px(tile_shape)).max())
