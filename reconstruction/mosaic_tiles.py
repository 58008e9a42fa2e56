"""A mosaic on disk as a viewer asks for it: which layers there are, and a tile at a time, also while it grows."""

import json
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import BLOCK_PX
from reconstruction.damage import named
from reconstruction.opened_array import opened_array
from reconstruction.whole_shard import CHUNK_PX, read_chunk

TILE_PX = CHUNK_PX  # what a reader gets at the price of one read
BLOCK_TILES = BLOCK_PX // TILE_PX  # tiles along a side of what is drawn at a time
DESCRIPTION = "zarr.json"
MOST_OPEN = 64  # levels of mosaics
MOST_DESCRIBED = 512  # files of 1 kB


def layers(mosaic: Path) -> dict[str, list[dict[str, Any]]]:
    """Of each image its levels, from full resolution on: `shape_px` (y, x), `pixel_size_um`, and `origin_um` (y, x).

    The origin is the centre of the first pixel. Sizes are None where they are not known. Empty: there is no mosaic.

    Raises:
        DamagedFile: names it.
    """
    try:
        with _described(mosaic, mosaic / "OME"):
            names = list(_description(mosaic / "OME")["attributes"]["ome"]["series"])
        return {name: _levels(mosaic, name) for name in names}
    except FileNotFoundError:  # there is none yet, or it gives way to a larger one at this moment
        return {}


def versions_of_blocks(mosaic: Path, layer: str, level: int) -> dict[str, str]:
    """By `row/column`, what changes whenever the pixels of a block may have; those not drawn yet are left out."""
    found = {}
    for shard in (mosaic / layer / str(level) / "c").glob("*/[0-9]*"):
        with suppress(OSError):  # it gives way to a newer one at this moment
            found[f"{shard.parent.name}/{shard.name}"] = _version(shard)
    return found


def version_of_tile(mosaic: Path, layer: str, level: int, row: int, column: int) -> str | None:
    """What changes whenever a tile's pixels may have; None: nothing was drawn there yet."""
    try:
        return _version(_shard(mosaic, layer, level, row, column))
    except OSError:
        return None


def tile(mosaic: Path, layer: str, level: int, row: int, column: int, may_wait: bool = True) -> NDArray[Any] | None:
    """The pixels of a tile, `TILE_PX` each way, 0 beyond the rim; None: nothing was drawn there yet.

    Raises:
        BlockingIOError: without `may_wait`, and it is not in memory.
        DamagedFile: names it.
    """
    array, shard = mosaic / layer / str(level), _shard(mosaic, layer, level, row, column)
    try:
        with _described(mosaic, array):
            known = _description(array)
            rows, columns = known["shape"]
            dtype = np.dtype(known["data_type"]).newbyteorder("<")
        if row * TILE_PX >= rows or column * TILE_PX >= columns:
            return None
        with named(shard, mosaic.parent):
            found = _read(mosaic, array, shard, dtype, row, column, may_wait)
    except FileNotFoundError:
        return None
    found[rows - row * TILE_PX :] = 0
    found[:, columns - column * TILE_PX :] = 0
    return found if found.any() else None


def _read(
    mosaic: Path, array: Path, shard: Path, dtype: np.dtype[Any], row: int, column: int, may_wait: bool
) -> NDArray[Any]:
    try:
        return read_chunk(shard, dtype, row % BLOCK_TILES, column % BLOCK_TILES, may_wait)
    except ValueError:  # an older one, or another program's
        if not may_wait:
            raise BlockingIOError from None
        shard.stat()
        with _described(mosaic, array):
            opened = _opened(array)
        top, left = row * TILE_PX, column * TILE_PX
        rows, columns = (min(side, TILE_PX) for side in (opened.shape[0] - top, opened.shape[1] - left))
        whole = np.zeros((TILE_PX, TILE_PX), dtype)
        whole[:rows, :columns] = opened[top : top + rows, left : left + columns].read().result()
        return whole


def _levels(mosaic: Path, name: str) -> list[dict[str, Any]]:
    image, levels = mosaic / name, []
    with _described(mosaic, image):
        multiscale = _description(image)["attributes"]["ome"]["multiscales"][0]
        is_sized = "unit" in multiscale["axes"][0]
        for dataset in multiscale["datasets"]:
            scale, translation = (step[step["type"]] for step in dataset["coordinateTransformations"])
            levels.append(
                {
                    "shape_px": _shape_px(mosaic, image / dataset["path"]),
                    "pixel_size_um": scale[0] if is_sized else None,
                    "origin_um": translation if is_sized else None,
                }
            )
    return levels


def _shape_px(mosaic: Path, array: Path) -> Any:
    with _described(mosaic, array):
        return _description(array)["shape"]


def _described(mosaic: Path, node: Path) -> AbstractContextManager[None]:
    """Blame the description of a group or array for whatever cannot be found in it."""
    return named(node / DESCRIPTION, mosaic.parent)


def _description(node: Path) -> Any:
    """Of a group or array; not to be changed."""
    file = node / DESCRIPTION
    there = file.stat()
    return _read_description(file, there.st_ino, there.st_mtime_ns, there.st_size)


@lru_cache(MOST_DESCRIBED)
def _read_description(file: Path, inode: int, mtime_ns: int, size: int) -> Any:
    """Read once what all who look at a mosaic ask for again and again; another one in its place is another file."""
    return json.loads(file.read_text())


def _shard(mosaic: Path, layer: str, level: int, row: int, column: int) -> Path:
    return mosaic / layer / str(level) / "c" / str(row // BLOCK_TILES) / str(column // BLOCK_TILES)


def _version(shard: Path) -> str:
    there = shard.stat()
    return f"{there.st_ino:x}-{there.st_mtime_ns:x}"


def _opened(array: Path) -> Any:
    there = (array / DESCRIPTION).stat()
    return _opened_as(array, there.st_ino, there.st_mtime_ns)


@lru_cache(MOST_OPEN)
def _opened_as(array: Path, inode: int, mtime_ns: int) -> Any:
    """Open one array; another one that has come into its place is another file."""
    return opened_array(array)
