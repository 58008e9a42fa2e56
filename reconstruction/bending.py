"""How the shift of two images varies over their overlap, because tiles are distorted.

Measured block by block with the slopes that gave the shift of the whole. Where the blocks disagree beyond noise, a
smooth field is fitted to them, from coarse to fine, and the blocks are measured against it: a shift of several pixels
is beyond a single step.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.refinement import RIM_PX, Pair, Refined, least_information, solve
from reconstruction.strips import Image, smoothed

Values = NDArray[np.float64]

BLOCKS = (8, 4)  # along and across a strip
LEAST_BLOCK_PX = 12
BENT = 3.0  # times what noise explains
BENT_PX = 0.2  # less is within reach of a single step
COARSE_SIGMAS_PX = (4.0, 4.0, 2.0)
FINE_STEPS = 4
FARTHEST_PX = 12.0  # from the shift of the whole
RIDGE = 1e-3  # of the mean information, on coefficients that nothing determines


@dataclass(frozen=True)
class Blocks:
    """Shifts of parts of an overlap: `first[p + shift]` shows `second[p]` around p = centre."""

    centres_px: Values  # (blocks, 2) y, x
    shifts_px: Values  # (blocks, 2) y, x
    information: Values  # (blocks, 2, 2) y, x; 1/px²
    bent: bool = False  # they disagree


def in_blocks(whole: Refined, correlation_px2: float) -> tuple[Refined, Blocks]:
    """Measure the shift of each block; where they disagree, the NCC of the whole is that of the images bent together.

    Args:
        correlation_px2: area over which the noise of the two is correlated.
    """
    first, second = whole.images
    noise = max(correlation_px2, 1.0)
    least = least_information(whole.ncc)
    field = _Field((first.shape[0], first.shape[1]), whole.shift_px)
    found = field.measured(whole.pair, noise, least)
    if not _disagree(found, whole.shift_px):
        return whole, found
    for sigma_px in (*COARSE_SIGMAS_PX, *(0.0,) * FINE_STEPS):
        images = [smoothed(image, sigma_px) if sigma_px else image for image in (first, second)]
        pair = Pair(field.warped(images[0]), images[1])
        field.bend(*pair.in_blocks(field.blocks))
        if field.farthest_px() > FARTHEST_PX:
            return whole, found
    followed = Pair(field.warped(first), second)
    ncc = followed.ncc()
    if ncc < whole.ncc:
        return whole, replace(found, bent=True)
    return replace(whole, ncc=ncc), replace(field.measured(followed, noise, least), bent=True)


class _Field:
    """A smooth shift over an overlap of some shape (y, x)."""

    def __init__(self, shape: tuple[int, int], shift_px: Values) -> None:
        along = int(shape[1] > shape[0])
        numbers = [1, 1]
        for axis, most in ((along, BLOCKS[0]), (1 - along, BLOCKS[1])):
            numbers[axis] = max(1, min(most, shape[axis] // LEAST_BLOCK_PX))
        self.blocks = numbers[0], numbers[1]
        self._shape = shape
        self._along = along  # axis
        self._shift_px = shift_px
        rows, columns = (
            RIM_PX + (np.arange(n) + 0.5) * (size - 2 * RIM_PX) / n - 0.5
            for n, size in zip(self.blocks, shape, strict=True)
        )
        self.centres_px = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
        scaled = [self._scaled(axis, self.centres_px[:, axis]) for axis in range(2)]
        self._at_blocks = self._basis(scaled[along], scaled[1 - along])
        self._coefficients = np.zeros((self._at_blocks.shape[1], 2))

    def _basis(self, t: Values, w: Values) -> Values:
        """Values (points, terms) of what the field is made of: a cubic along the strip, and a line across."""
        powers = [t**order for order in range(4 if self.blocks[self._along] >= 4 else 2)]
        return np.stack(powers + ([w, w * t] if self.blocks[1 - self._along] > 1 else []), -1)

    def _scaled(self, axis: int, at: Values) -> Values:
        """Turn pixels into -1..1."""
        return (at - (self._shape[axis] - 1) / 2) / (self._shape[axis] / 2)

    def _at(self, basis: Values) -> Values:
        return self._shift_px + basis @ self._coefficients

    def farthest_px(self) -> float:
        return float(np.abs(self._at_blocks @ self._coefficients).max())

    def warped(self, image: Image) -> Image:
        """Sample the image at p + shift(p)."""
        t = self._scaled(self._along, np.arange(self._shape[self._along], dtype=np.float64))
        w = self._scaled(1 - self._along, np.arange(self._shape[1 - self._along], dtype=np.float64))
        left, right = (self._at(self._basis(t, np.full_like(t, side))) for side in (-1.0, 1.0))
        maps = []
        for axis in range(2):  # linear across the strip
            middle, slope = (left + right)[:, axis] / 2, (right - left)[:, axis] / 2
            across = middle.astype(np.float32)[:, None] + np.outer(slope, w).astype(np.float32)
            pixels = np.arange(self._shape[axis], dtype=np.float32)
            maps.append((across.T if self._along else across) + (pixels if axis else pixels[:, None]))
        map_y, map_x = maps
        return np.asarray(cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32)

    def bend(self, information: Values, pull: Values) -> None:
        """Take the step that explains most of the pulls of the blocks."""
        basis = self._at_blocks
        terms = basis.shape[1]
        normal = np.einsum("kp,kij,kq->piqj", basis, information, basis).reshape(2 * terms, 2 * terms)
        right = np.einsum("kp,ki->pi", basis, pull).ravel()
        normal[np.diag_indices(2 * terms)] += RIDGE * np.trace(normal) / (2 * terms)
        self._coefficients = self._coefficients + np.linalg.solve(normal, right).reshape(terms, 2)

    def measured(self, pair: Pair, noise: float, least: float) -> Blocks:
        """Measure the blocks against this field; noise: area over which it is correlated."""
        information, pull = pair.in_blocks(self.blocks)
        variance = pair.scatter() * noise
        shifts = self._at(self._at_blocks) + solve(information, pull, least)
        return Blocks(self.centres_px, shifts, information / max(variance, 1e-12))


def _disagree(blocks: Blocks, mean_px: Values) -> bool:
    """Tell whether blocks differ by more than noise explains, and than one step reaches."""
    away = blocks.shifts_px - mean_px
    squares = np.einsum("ki,kij,kj->k", away, blocks.information, away)
    spread_px = float(np.median(np.abs(away)))
    return bool(np.median(squares) > BENT and spread_px > BENT_PX)
