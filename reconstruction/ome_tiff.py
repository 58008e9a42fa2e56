"""A layer of a mosaic as one pyramidal OME-TIFF: levels as SubIFDs, in tiles, read from the mosaic row by row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.opened_array import opened_array

TILE_PX = 512
BAND_PX = 1024  # rows that are read at a time: those of one row of shards
COMPRESSION = "zlib"
LEAST_LEVEL = 1  # packing hard would take many times as long and save a few percent


def write_ome_tiff(mosaic: Path, layer: str, out: Path) -> None:
    """Write one layer with its pyramid, pixel size and place, in memory for one row of shards.

    Raises:
        InputError: no such layer, or a mosaic without one.
    """
    multiscale = _multiscale(mosaic, layer)
    levels = [opened_array(mosaic / layer / dataset["path"]) for dataset in multiscale["datasets"]]
    part = out.with_name(out.name + ".part")
    try:
        with tifffile.TiffWriter(part, bigtiff=True, ome=True) as tiff:
            for number, level in enumerate(levels):
                tiff.write(
                    _tiles(level),
                    shape=level.shape,
                    dtype=level.dtype.numpy_dtype,
                    tile=(TILE_PX, TILE_PX),
                    photometric="minisblack",
                    compression=COMPRESSION,
                    compressionargs={"level": LEAST_LEVEL},
                    predictor=True,
                    **(_described(multiscale, layer, len(levels) - 1) if not number else {"subfiletype": 1}),
                )
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _multiscale(mosaic: Path, layer: str) -> dict[str, Any]:
    try:
        found = json.loads((mosaic / layer / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    except (OSError, ValueError, KeyError) as error:
        there = sorted(path.parent.name for path in mosaic.glob("*/0")) if mosaic.is_dir() else []
        known = f"its layers are {', '.join(there)}" if there else "there is no mosaic"
        raise InputError(f"{mosaic}: no layer {layer!r}; {known}") from error
    return dict(found)


def _described(multiscale: dict[str, Any], layer: str, below: int) -> dict[str, Any]:
    """Metadata of level 0: name, and where its scale is known the size and place of its pixels."""
    metadata: dict[str, Any] = {"axes": "YX", "Name": layer}
    if "unit" in multiscale["axes"][0]:
        scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
        (size, _), (y, x) = scale["scale"], translation["translation"]
        metadata |= {
            "PhysicalSizeX": size,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": size,
            "PhysicalSizeYUnit": "µm",
            "Plane": {"PositionX": [x], "PositionXUnit": ["µm"], "PositionY": [y], "PositionYUnit": ["µm"]},
        }
    return {"metadata": metadata, "subifds": below}


def _tiles(level: Any) -> Iterator[NDArray[Any]]:
    """Every tile of a level, row by row; those at the rim are filled up with zeros."""
    rows, columns = level.shape
    for top in range(0, rows, BAND_PX):
        band = np.asarray(level[top : min(top + BAND_PX, rows)].read().result())
        for row in range(0, band.shape[0], TILE_PX):
            for column in range(0, columns, TILE_PX):
                tile = band[row : row + TILE_PX, column : column + TILE_PX]
                missing = TILE_PX - tile.shape[0], TILE_PX - tile.shape[1]
                yield np.pad(tile, ((0, missing[0]), (0, missing[1]))) if any(missing) else tile
