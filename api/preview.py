"""The picture of a plan: the scanner's travel, the region, and the tiles in their order."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from acquisition.field import Field
from acquisition.layout import camera_area, layout
from acquisition.plan import Plan
from api.errors import UsageError

LONG_SIDE_PX = 1000
MARGIN_PX = 20
PAPER, TRAVEL, TILE, PATH, REGION = (255, 255, 255), (242, 242, 242), (200, 120, 40), (150, 150, 150), (40, 40, 200)


def write_preview(path: Path, plan: Plan, field: Field, limits_um: Mapping[str, tuple[float, float]]) -> None:
    """Draw the plan into a PNG; y points down, as in the mosaic.

    Raises:
        UsageError: the picture cannot be written there, or is not called a PNG.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--preview {path}: should end in .png")
    (left, right), (top, bottom) = limits_um["x"], limits_um["y"]
    scale = LONG_SIDE_PX / max(right - left, bottom - top)
    size = round((bottom - top) * scale) + 2 * MARGIN_PX, round((right - left) * scale) + 2 * MARGIN_PX
    picture = np.full((*size, 3), PAPER, np.uint8)

    def at(x_um: float, y_um: float) -> tuple[int, int]:
        return round((x_um - left) * scale) + MARGIN_PX, round((y_um - top) * scale) + MARGIN_PX

    cv2.rectangle(picture, at(left, top), at(right, bottom), TRAVEL, cv2.FILLED)
    _, field = camera_area(plan, field)
    order = layout(plan, field)
    rim_um = field.corners_um()
    for tile in order:
        corners = np.array([at(tile.x_um + x_um, tile.y_um + y_um) for x_um, y_um in rim_um], np.int32)
        cv2.polylines(picture, [corners], True, TILE, 1, cv2.LINE_AA)
    way = np.array([at(tile.x_um, tile.y_um) for tile in order], np.int32)
    cv2.polylines(picture, [way], False, PATH, 1, cv2.LINE_AA)
    cv2.circle(picture, tuple(map(int, way[0])), 5, PATH, cv2.FILLED, cv2.LINE_AA)
    outline = np.array([at(x_um, y_um) for x_um, y_um in plan.region.outline_um], np.int32)
    cv2.polylines(picture, [outline], True, REGION, 2, cv2.LINE_AA)
    written, png = cv2.imencode(".png", picture)
    assert written
    try:
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise UsageError(f"--preview {path}: {error.strerror}") from error
