"""Drawing in micrometres on pixels, with exact coverage at the edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A rectangle on the specimen."""

    left_um: float
    right_um: float
    top_um: float
    bottom_um: float

    @property
    def width_um(self) -> float:
        """Extent along x."""
        return self.right_um - self.left_um

    @property
    def height_um(self) -> float:
        """Extent along y."""
        return self.bottom_um - self.top_um

    def shrunk(self, margin_um: float) -> "Box":
        """Take a margin off each side."""
        return Box(
            self.left_um + margin_um, self.right_um - margin_um, self.top_um + margin_um, self.bottom_um - margin_um
        )


class Canvas:
    """Grey values (rows, columns); the centre of pixel (r, c) lies at (c, r) * pixel_um."""

    def __init__(self, shape_px: tuple[int, int], pixel_um: float, grey: float) -> None:
        self.grey: Image = np.full(shape_px, grey, dtype=np.float32)
        self.pixel_um = pixel_um

    def rectangle(self, box: Box, grey: float) -> None:
        """Fill a rectangle."""
        self.bars(box, np.array([box.left_um]), np.array([box.right_um]), grey)

    def bars(self, box: Box, starts_um: NDArray[np.float64], ends_um: NDArray[np.float64], grey: float) -> None:
        """Fill upright bars between `starts_um` and `ends_um` (ascending, disjoint) over the height of `box`."""
        rows, columns = self._pixels(box)
        across = self._coverage(starts_um, ends_um, columns)
        down = self._coverage(np.array([box.top_um]), np.array([box.bottom_um]), rows)
        self._mix(rows, columns, down[:, None] * across[None, :], grey)

    def rungs(self, box: Box, starts_um: NDArray[np.float64], ends_um: NDArray[np.float64], grey: float) -> None:
        """Fill level bars between `starts_um` and `ends_um` (ascending, disjoint) over the width of `box`."""
        rows, columns = self._pixels(box)
        across = self._coverage(np.array([box.left_um]), np.array([box.right_um]), columns)
        down = self._coverage(starts_um, ends_um, rows)
        self._mix(rows, columns, down[:, None] * across[None, :], grey)

    def blob(self, x_um: float, y_um: float, radius_um: float, grey: float) -> None:
        """Lay down a soft round spot."""
        reach_um = 3 * radius_um
        rows, columns = self._pixels(Box(x_um - reach_um, x_um + reach_um, y_um - reach_um, y_um + reach_um))
        down = np.exp(-(((np.arange(rows.start, rows.stop) * self.pixel_um - y_um) / radius_um) ** 2))
        across = np.exp(-(((np.arange(columns.start, columns.stop) * self.pixel_um - x_um) / radius_um) ** 2))
        self._mix(rows, columns, down[:, None] * across[None, :], grey)

    def _pixels(self, box: Box) -> tuple[slice, slice]:
        """Find the rows and columns that a box touches."""
        height, width = self.grey.shape
        return (
            _clipped(box.top_um / self.pixel_um, box.bottom_um / self.pixel_um, height),
            _clipped(box.left_um / self.pixel_um, box.right_um / self.pixel_um, width),
        )

    def _coverage(
        self, starts_um: NDArray[np.float64], ends_um: NDArray[np.float64], pixels: slice
    ) -> NDArray[np.float64]:
        """Measure which part of each pixel the intervals cover."""
        edges_um = np.column_stack([starts_um, ends_um]).ravel()
        filled_um = np.repeat(np.concatenate([[0.0], np.cumsum(ends_um - starts_um)]), 2)[1:-1]
        bounds_um = (np.arange(pixels.start, pixels.stop + 1) - 0.5) * self.pixel_um
        covered_um: NDArray[np.float64] = np.diff(np.interp(bounds_um, edges_um, filled_um))
        return covered_um / self.pixel_um

    def _mix(self, rows: slice, columns: slice, opacity: NDArray[np.float64], grey: float) -> None:
        below = self.grey[rows, columns]
        below += opacity.astype(np.float32) * (np.float32(grey) - below)


def _clipped(low_px: float, high_px: float, count: int) -> slice:
    first = min(max(int(np.floor(low_px)), 0), count)
    return slice(first, min(max(int(np.ceil(high_px)) + 1, first), count))
