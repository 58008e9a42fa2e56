"""Cut a frame into tiles of one shape that overlap by a halo, and put together what was made of their insides."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """A grid of tiles over a frame; beyond the rim of the frame lies its mirror image."""

    frame_shape: tuple[int, int]
    grid: tuple[int, int]
    inside: tuple[int, int]  # of a tile, without its halo
    halo_px: int

    @classmethod
    def of(cls, frame_shape: tuple[int, int], largest_px: int, halo_px: int, multiple_of: int) -> "Tiling":
        """Spread a frame over as few tiles as there can be, and as evenly; all starts and sides are multiples.

        Args:
            largest_px: about, that the inside of a tile may have a side.
        """
        grid = tuple(ceil(side / largest_px) for side in frame_shape)
        inside = tuple(_up(ceil(side / n), multiple_of) for side, n in zip(frame_shape, grid, strict=True))
        return cls(frame_shape, (grid[0], grid[1]), (inside[0], inside[1]), _up(halo_px, multiple_of))

    @property
    def count(self) -> int:
        """Tell how many tiles there are."""
        return self.grid[0] * self.grid[1]

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Tell how large a tile is with its halo."""
        return self.inside[0] + 2 * self.halo_px, self.inside[1] + 2 * self.halo_px

    def cut(self, frame: Tensor) -> Tensor:
        """Cut a frame (y, x) into tiles (count, 1, y, x), row by row."""
        rows, columns = (self._mirrored(axis, frame.device) for axis in (0, 1))
        wide = frame[rows][:, columns]
        (height, width), (down, right) = self.tile_shape, self.inside
        return wide.unfold(0, height, down).unfold(1, width, right).reshape(self.count, 1, height, width)

    def join(self, tiles: Tensor, scale: int) -> Tensor:
        """Put tiles (count, channels, scale * y, scale * x) together; (channels, scale * y, scale * x) of the frame."""
        rim = self.halo_px * scale
        height, width = (side * scale for side in self.inside)
        insides = tiles[..., rim : rim + height, rim : rim + width]
        placed = insides.reshape(*self.grid, -1, height, width).permute(2, 0, 3, 1, 4)
        whole = placed.reshape(tiles.shape[1], self.grid[0] * height, self.grid[1] * width)
        return whole[:, : self.frame_shape[0] * scale, : self.frame_shape[1] * scale]

    def _mirrored(self, axis: int, device: torch.device) -> Tensor:
        """Which row or column of the frame lies on each of all tiles together."""
        last = self.frame_shape[axis] - 1
        there = torch.arange(-self.halo_px, self.grid[axis] * self.inside[axis] + self.halo_px, device=device)
        there = there % max(2 * last, 1)
        return torch.minimum(there, 2 * last - there) if last else there


def _up(number: int, multiple_of: int) -> int:
    return ceil(number / multiple_of) * multiple_of
