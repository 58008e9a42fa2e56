"""A small picture of a whole mosaic."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import around
from reconstruction.opened_array import opened_array
from reconstruction.pyramid import level_shapes
from reconstruction.worker import Reconstruction

LONGEST_PX = 1600
DARKEST, BRIGHTEST = 0.5, 99.5  # percentiles of the covered pixels
BAR_SHARE = 0.2  # of the picture's width, at most
WHITE = 255


def preview(made: Reconstruction, layer: str = "restored") -> NDArray[np.uint8]:
    """Draw the covered part of a layer as 8 bit grey (y, x), contrast stretched, with a scale bar if it has a scale."""
    if not made.placement.tiles:
        return np.zeros((64, 64), np.uint8)
    covered = around(made.placement.tiles.values(), made.tile_shape)
    level = max(0, math.ceil(math.log2(max(covered.shape) / LONGEST_PX)))
    level = min(level, len(level_shapes(made.canvas.shape)) - 1)
    top, left = covered.y_px - made.canvas.y_px, covered.x_px - made.canvas.x_px
    rows = slice(top >> level, (top + covered.height_px) >> level)
    columns = slice(left >> level, (left + covered.width_px) >> level)
    picture = _stretched(np.asarray(opened_array(made.mosaic_path / layer / str(level))[rows, columns].read().result()))
    if made.pixel_size_um is not None:
        _add_scale_bar(picture, made.pixel_size_um * 2**level)
    return picture


def overview(mosaic: Path, layer: str = "restored") -> NDArray[np.uint8] | None:
    """Draw what a mosaic on disk shows by now, as `preview` does; None if there is no mosaic, or nothing in it."""
    try:
        multiscale = json.loads((mosaic / layer / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
        arrays = [opened_array(mosaic / layer / dataset["path"]) for dataset in multiscale["datasets"]]
        level = next((k for k, array in enumerate(arrays) if max(array.shape) <= LONGEST_PX), len(arrays) - 1)
        image = np.asarray(arrays[level].read().result())
    except (OSError, ValueError, KeyError):
        return None
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    picture = _stretched(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    if "unit" in multiscale["axes"][0]:
        _add_scale_bar(picture, multiscale["datasets"][level]["coordinateTransformations"][0]["scale"][0])
    return picture


def small_png(picture: NDArray[np.uint8], most_bytes: int) -> bytes:
    """Encode a picture, halved as often as it takes to come below a size."""
    while True:
        encoded = cv2.imencode(".png", picture)[1].tobytes()
        if len(encoded) <= most_bytes:
            return encoded
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _stretched(image: NDArray[Any]) -> NDArray[np.uint8]:
    covered = image[image > 0]
    if not covered.size:
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(covered, [DARKEST, BRIGHTEST])
    scaled = (image.astype(np.float32) - low) * (WHITE / max(float(high - low), 1e-6))
    return np.asarray(np.clip(np.rint(scaled), 0, WHITE), dtype=np.uint8)


def _add_scale_bar(picture: NDArray[np.uint8], pixel_size_um: float) -> None:
    rows, columns = picture.shape
    if min(rows, columns) < 64:
        return
    length_um = round_length(BAR_SHARE * columns * pixel_size_um)
    width = round(length_um / pixel_size_um)
    text = f"{length_um:g} um" if length_um >= 1 else f"{length_um * 1000:g} nm"
    margin, bar = max(4, columns // 80), max(3, rows // 200)
    scale = max(0.4, columns / 1600)
    bottom = rows - margin
    corner = (margin, bottom - 2 * bar - margin // 2)
    for colour, rim in ((0, max(2, bar // 2)), (WHITE, 0)):  # a dark rim, so that it shows on any specimen
        cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (colour,), 2 + 2 * rim, cv2.LINE_AA)
        cv2.rectangle(picture, (margin - rim, bottom - bar - rim), (margin + width + rim, bottom + rim), (colour,), -1)


def round_length(most_um: float) -> float:
    """Give the largest of 1, 2, 5 times a power of ten that is not above `most_um`."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most_um * (1 + 1e-9))
