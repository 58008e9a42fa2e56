"""The mosaic on disk: OME-Zarr 0.5, one multiscale image a layer, valid from its first moment on.

All layers show the same area; one with more pixels than the source's has a whole number of them to each of those.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction.canvas import BLOCK_PX, Canvas
from reconstruction.growing_pyramid import GrowingPyramid
from reconstruction.pyramid import level_shapes, level_transform
from reconstruction.whole_shard import CHUNK_PX

RECORD = "nanoraster"  # the attribute that says what was done to the pixels


class Mosaic:
    """Layers that share a canvas, open for writing; `scales`: how many pixels each has to one of the source's."""

    def __init__(
        self, path: Path, canvas: Canvas, dtype: np.dtype[Any], scales: Mapping[str, int], reopened: bool
    ) -> None:
        self.path = path
        self.canvas = canvas
        self.reopened = reopened  # what its blocks hold is not known
        self._dtype = dtype
        self._scales = dict(scales)

    @classmethod
    def create(
        cls,
        path: Path,
        canvas: Canvas,
        dtype: np.dtype[Any],
        pixel_size_um: float | None,
        scales: Mapping[str, int],
        record: Mapping[str, object],
    ) -> "Mosaic":
        """Make an empty mosaic at `path`, or go on with the one there if it was made for the same canvas.

        Args:
            record: what will be done to the pixels, for whoever reads them.
        """
        documents = _documents(canvas, dtype, pixel_size_um, scales, record)
        if all(_holds(path / name, document) for name, document in documents.items()):
            return cls(path, canvas, dtype, scales, reopened=True)
        fresh = path.with_name(path.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        for name, document in documents.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_text(json.dumps(document, indent=1))
        _swap(fresh, path)
        return cls(path, canvas, dtype, scales, reopened=False)

    def replace(self, path: Path) -> "Mosaic":
        """Move this mosaic to `path`, in place of the one there."""
        _swap(self.path, path)
        return Mosaic(path, self.canvas, self._dtype, self._scales, reopened=False)

    def canvas_of(self, layer: str) -> Canvas:
        """Give the canvas in pixels of a layer."""
        return self.canvas.times(self._scales[layer])

    def pyramid(self, layers: Sequence[str]) -> GrowingPyramid:
        """Open the image of one layer, or of several that show the same, for writing."""
        first, *others = (self.path / layer for layer in layers)
        return GrowingPyramid(first, self.canvas_of(layers[0]).shape, self._dtype, others)


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
    canvas: Canvas,
    dtype: np.dtype[Any],
    pixel_size_um: float | None,
    scales: Mapping[str, int],
    record: Mapping[str, object],
) -> dict[str, dict[str, object]]:
    """Every `zarr.json` of a mosaic by its path; the root uses the layout of bioformats2raw to name its images."""
    documents = {
        "zarr.json": _group({"version": "0.5", "bioformats2raw.layout": 3}, record),
        "OME/zarr.json": _group({"version": "0.5", "series": list(scales)}, {}),
    }
    for layer, scale in scales.items():
        documents[f"{layer}/zarr.json"] = _group(_multiscale(layer, canvas, scale, pixel_size_um), record)
        for level, shape in enumerate(level_shapes(canvas.times(scale).shape)):
            documents[f"{layer}/{level}/zarr.json"] = _array(shape, dtype)
    return documents


def _group(ome: dict[str, object], record: Mapping[str, object]) -> dict[str, object]:
    said = {RECORD: dict(record)} if record else {}
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, **said}}


def _multiscale(name: str, canvas: Canvas, layer_scale: int, pixel_size_um: float | None) -> dict[str, object]:
    """Axes, and the scale and translation of every level; in pixels and without a unit where their size is unknown."""
    size = (pixel_size_um or 1.0) / layer_scale
    unit = {"unit": "micrometer"} if pixel_size_um else {}
    grid = canvas.times(layer_scale)
    inwards = (1 - layer_scale) / 2  # of the source's first pixel, the layer's first has its centre further outside
    origin = (grid.y_px + inwards) * size, (grid.x_px + inwards) * size
    datasets = []
    for level in range(len(level_shapes(grid.shape))):
        scale, (y, x) = level_transform(level, size, origin)
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
        "index_location": "start",
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
