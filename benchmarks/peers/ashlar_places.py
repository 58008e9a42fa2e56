"""Ashlar: alignment, and the mosaic as a pyramidal OME-TIFF, as its own command does it.

Its command reads vendor formats or full grids; its classes take any tiles of which the places are known.
"""

import numpy as np
import places
import skimage.io
import tifffile
from ashlar import reg


class Tiles(reg.Metadata):
    """What Ashlar asks about a set of tiles; (y, x) and micrometres, of which a pixel has one."""

    def __init__(self, claimed: places.Places, shape: tuple[int, int], dtype: np.dtype) -> None:
        self._claimed, self._shape, self._dtype = claimed[:, ::-1], np.array(shape), dtype

    _num_images = property(lambda self: len(self._claimed))
    num_channels = property(lambda self: 1)
    pixel_size = property(lambda self: 1.0)
    pixel_dtype = property(lambda self: self._dtype)

    def tile_position(self, i: int) -> np.ndarray:
        """Give the place that the stage claims."""
        return self._claimed[i]

    def tile_size(self, i: int) -> np.ndarray:
        """Give rows and columns."""
        return self._shape


class Files(reg.Reader):
    """Reads one tile at a time."""

    def __init__(self, files: list[places.Path], claimed: places.Places) -> None:
        self._files = files
        first = self.read(0, 0)
        self.metadata = Tiles(claimed, first.shape, first.dtype)

    def read(self, series: int, c: int) -> np.ndarray:
        """Read a tile, (rows, columns)."""
        path = self._files[series]
        return tifffile.imread(path) if path.suffix == ".tif" else skimage.io.imread(path)


def stitch(files: list[places.Path], claimed: places.Places, reach_px: float, out: places.Path) -> places.Places:
    """Align and write the mosaic."""
    aligner = reg.EdgeAligner(Files(files, claimed), max_shift=reach_px, do_make_thumbnail=False)
    aligner.run()
    mosaic = reg.Mosaic(aligner, aligner.mosaic_shape)
    reg.PyramidWriter([mosaic], str(out / "ashlar.ome.tif")).run()
    return aligner.positions[:, ::-1]


if __name__ == "__main__":
    places.run(stitch)
