"""A mosaic on another machine, read a tile at a time as its page shows it."""

from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from api.remote import Connection, NanorasterError

TILES_KEPT = 256  # of 64 KiB each
NOT_DRAWN = 404


class RemoteMosaic:
    """One level of one layer, (y, x), read only, to be sliced like an array: `mosaic[1000:2000, :512]`.

    These are not the values that were measured but what the page shows: 8 bit JPEG, stretched from `display_range`, so
    that a pixel is some grey values off; 0 where nothing was drawn yet. To measure, open the zarr array of the run.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(
        self,
        connection: Connection,
        path: str,
        shape: tuple[int, int],
        tile_px: int,
        display_range: tuple[int, int] | None,
    ) -> None:
        """Take a level: `path` is that of its tiles, up to the level's number."""
        self.shape = shape
        self.display_range = display_range
        """Grey values of the run that are shown as 0 and 255."""
        self._connection = connection
        self._path = path
        self._tile_px = tile_px
        self._tiles: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<RemoteMosaic {self._path} {self.shape} {self.dtype}, as shown>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, wanted: Any) -> NDArray[np.uint8]:
        """Pixels of an index or a slice along each axis, as numpy has them; steps only forwards.

        Raises:
            IndexError: not an index, or beyond the rim. NanorasterError: the service refused, or did not answer.
        """
        asked = wanted if isinstance(wanted, tuple) else (wanted,)
        asked = tuple(slice(None) if each is Ellipsis else each for each in asked)
        if len(asked) > self.ndim:
            raise IndexError(f"{len(asked)} indices for {self.ndim} axes")
        asked += (slice(None),) * (self.ndim - len(asked))
        rows, columns = (_span(each, size) for each, size in zip(asked, self.shape, strict=True))
        found = self._read(rows, columns)[:: rows.step, :: columns.step]
        whole = tuple(slice(None) if isinstance(each, slice) else 0 for each in asked)
        return np.asarray(found[whole])

    def _read(self, rows: range, columns: range) -> NDArray[np.uint8]:
        """All from the first to the last row and column."""
        found = np.zeros((_length(rows), _length(columns)), np.uint8)
        if not found.size:
            return found
        side = self._tile_px
        for row in range(rows.start // side, (rows.start + found.shape[0] - 1) // side + 1):
            for column in range(columns.start // side, (columns.start + found.shape[1] - 1) // side + 1):
                top, left = row * side - rows.start, column * side - columns.start
                into = found[max(top, 0) : top + side, max(left, 0) : left + side]
                tile = self._tile(row, column)[max(-top, 0) :, max(-left, 0) :]
                into[:] = tile[: into.shape[0], : into.shape[1]]
        return found

    def _tile(self, row: int, column: int) -> NDArray[np.uint8]:
        if (row, column) in self._tiles:
            self._tiles.move_to_end((row, column))
            return self._tiles[row, column]
        try:
            jpeg = self._connection.ask("GET", f"{self._path}/{row}/{column}.jpg").content
        except NanorasterError as error:
            if error.status != NOT_DRAWN:
                raise
            return np.zeros((self._tile_px, self._tile_px), np.uint8)
        pixels = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        self._tiles[row, column] = pixels
        if len(self._tiles) > TILES_KEPT:
            self._tiles.popitem(last=False)
        return pixels


def _span(wanted: Any, size: int) -> range:
    if isinstance(wanted, slice):
        span = range(*wanted.indices(size))
        if span.step < 1:
            raise IndexError(f"step {span.step}: only forwards")
        return span
    try:
        (index,) = range(size)[wanted : wanted + 1 or None]
    except (TypeError, ValueError):
        raise IndexError(f"{wanted!r}: no index of an axis of {size}") from None
    return range(index, index + 1)


def _length(span: range) -> int:
    return span[-1] + 1 - span.start if span else 0
