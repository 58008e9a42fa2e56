"""The mosaic on disk: OME-Zarr 0.5, one multiscale image a layer, valid from its first moment on.

Every block is one shard and is replaced as a whole: the file driver of tensorstore writes a new file and renames it.
Its chunks are not packed and all of them are stored, so that each lies at the same place in every version of the shard:
a reader that looked into the index of the old file and reads from the new one still finds whole pixels.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from reconstruction.canvas import BLOCK_PX, Block, Canvas
from reconstruction.pyramid import halved, level_shapes, level_transform

LAYERS = ("raw", "restored")
CHUNK_PX = 256
Drawn = Sequence[NDArray[Any]]  # one image (y, x) a layer


class Mosaic:
    """Layers that share a canvas, open for writing."""

    def __init__(self, path: Path, canvas: Canvas, layers: Sequence[str], reopened: bool) -> None:
        self.path = path
        self.canvas = canvas
        self.layers = tuple(layers)
        self.reopened = reopened  # what its blocks hold is not known
        self._shapes = level_shapes(canvas.shape)
        self._arrays = [[_opened(path / layer / str(k)) for k in range(len(self._shapes))] for layer in self.layers]

    @classmethod
    def create(
        cls,
        path: Path,
        canvas: Canvas,
        dtype: np.dtype[Any],
        pixel_size_um: float | None,
        layers: Sequence[str] = LAYERS,
    ) -> "Mosaic":
        """Make an empty mosaic at `path`, or go on with the one there if it was made for the same canvas."""
        documents = _documents(canvas, dtype, pixel_size_um, layers)
        if all(_holds(path / name, document) for name, document in documents.items()):
            return cls(path, canvas, layers, reopened=True)
        fresh = path.with_name(path.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        for name, document in documents.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_text(json.dumps(document, indent=1))
        _swap(fresh, path)
        return cls(path, canvas, layers, reopened=False)

    def replace(self, path: Path) -> "Mosaic":
        """Move this mosaic to `path`, in place of the one there."""
        _swap(self.path, path)
        return Mosaic(path, self.canvas, self.layers, reopened=False)

    def update(self, dirty: Iterable[Block], draw: Callable[[Block], Drawn]) -> None:
        """Draw the dirty blocks and what lies above them in the pyramid; each block is drawn once."""
        levels = [set(dirty)]
        for _ in self._shapes[1:]:
            levels.append({(row // 2, column // 2) for row, column in levels[-1]})
        for top in sorted(levels[-1]):
            self._update(len(levels) - 1, top, levels, draw)

    def _update(self, level: int, block: Block, dirty: list[set[Block]], draw: Callable[[Block], Drawn]) -> Drawn:
        """Write one block of a level and return it halved."""
        images = draw(block) if level == 0 else self._assembled(level, block, dirty, draw)
        region = self._region(level, block)
        writes = [arrays[level][region].write(image) for arrays, image in zip(self._arrays, images, strict=True)]
        smaller = [halved(image) for image in images]
        for write in writes:
            write.result()
        return smaller

    def _assembled(self, level: int, block: Block, dirty: list[set[Block]], draw: Callable[[Block], Drawn]) -> Drawn:
        """Put a block together from its four, reading back only what did not change."""
        rows, columns = (-(-size // BLOCK_PX) for size in self._shapes[level - 1])
        below = [
            (row, column)
            for row in range(2 * block[0], min(2 * block[0] + 2, rows))
            for column in range(2 * block[1], min(2 * block[1] + 2, columns))
        ]
        region = self._region(level, block)
        changed = [child for child in below if child in dirty[level - 1]]
        images = [
            np.array(arrays[level][region].read().result())
            if len(changed) < len(below)
            else np.zeros(arrays[level][region].shape, arrays[level].dtype.numpy_dtype)
            for arrays in self._arrays
        ]
        half = BLOCK_PX // 2
        for row, column in changed:
            top, left = (row % 2) * half, (column % 2) * half
            for image, part in zip(images, self._update(level - 1, (row, column), dirty, draw), strict=True):
                image[top : top + part.shape[0], left : left + part.shape[1]] = part
        return images

    def _region(self, level: int, block: Block) -> tuple[slice, slice]:
        rows, columns = self._shapes[level]
        top, left = block[0] * BLOCK_PX, block[1] * BLOCK_PX
        return slice(top, min(top + BLOCK_PX, rows)), slice(left, min(left + BLOCK_PX, columns))


def _opened(path: Path) -> Any:
    """Open an array for writing; the mosaic can be drawn again, so it need not reach the disk before going on."""
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path)},
        "store_data_equal_to_fill_value": True,
    }
    return ts.open(spec, open=True, context=ts.Context({"file_io_sync": False})).result()


def _swap(fresh: Path, path: Path) -> None:
    """Put a folder in the place of another."""
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _holds(path: Path, document: object) -> bool:
    try:
        return bool(json.loads(path.read_text()) == document)
    except (OSError, ValueError):
        return False


def _documents(
    canvas: Canvas, dtype: np.dtype[Any], pixel_size_um: float | None, layers: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Every `zarr.json` of a mosaic by its path; the root uses the layout of bioformats2raw to name its images."""
    documents = {
        "zarr.json": _group({"version": "0.5", "bioformats2raw.layout": 3}),
        "OME/zarr.json": _group({"version": "0.5", "series": list(layers)}),
    }
    for layer in layers:
        documents[f"{layer}/zarr.json"] = _group(_multiscale(layer, canvas, pixel_size_um))
        for level, shape in enumerate(level_shapes(canvas.shape)):
            documents[f"{layer}/{level}/zarr.json"] = _array(shape, dtype)
    return documents


def _group(ome: dict[str, object]) -> dict[str, object]:
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}


def _multiscale(name: str, canvas: Canvas, pixel_size_um: float | None) -> dict[str, object]:
    """Axes, and the scale and translation of every level; in pixels and without a unit where their size is unknown."""
    size = pixel_size_um or 1.0
    unit = {"unit": "micrometer"} if pixel_size_um else {}
    datasets = []
    for level in range(len(level_shapes(canvas.shape))):
        scale, (y, x) = level_transform(level, size, (canvas.y_px * size, canvas.x_px * size))
        transformations = [{"type": "scale", "scale": [scale, scale]}, {"type": "translation", "translation": [y, x]}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    axes = [{"name": axis, "type": "space", **unit} for axis in ("y", "x")]
    return {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": datasets, "type": "mean"}]}


def _array(shape: tuple[int, int], dtype: np.dtype[Any]) -> dict[str, object]:
    """Metadata of a sharded array (Zarr v3 core and sharding_indexed)."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": [CHUNK_PX, CHUNK_PX],
        "codecs": [little if dtype.itemsize > 1 else {"name": "bytes"}],
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [BLOCK_PX, BLOCK_PX]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "dimension_names": ["y", "x"],
    }
