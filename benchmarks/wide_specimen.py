"""A specimen of any size, drawn die by die where it is looked at, and seen at places between its pixels.

It is an image without anything above the highest frequency that its pixels carry: what the twin draws, with exact
coverage at the edges, blurred as an objective would. Between its pixels it is therefore known as well, and two tiles
of it differ by exactly the displacement that they were taken at.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hardware_sim.canvas import Image
from hardware_sim.resampling import LOBES, sampled, sampling
from hardware_sim.texture import smooth_noise

Draw = Callable[[tuple[int, int], float, np.random.Generator], tuple[Image, Image]]

PIXEL_UM = 0.02
DIE_PX = 2048
DIES_AT_HAND = 48
BLUR_SIGMA_PX = 1.0  # leaves less than 1 % at the highest frequency, where interpolation errs
KERNEL_PX = 11
MARGIN_PX = LOBES + KERNEL_PX // 2 + 1
BLANK_GREY = 0.35
FIELD_PX = 16  # between the nodes of the map of featureless areas
RIM_PX = 12.0  # of such an area, about


class WideSpecimen:
    """Brightness 0..1 of a specimen of `shape_px` (rows, columns); the centre of pixel (r, c) lies at (x, y) = (c, r).

    Args:
        blank_share: of the area, without any feature; its patches are about `blank_grain_px` wide.
    """

    def __init__(
        self, draw: Draw, shape_px: tuple[int, int], seed: int, blank_share: float = 0.0, blank_grain_px: float = 1.0
    ) -> None:
        self._draw = draw
        self._seed = seed
        self._die = lru_cache(maxsize=DIES_AT_HAND)(self._drawn)
        self._field: Image | None = None
        if blank_share:
            nodes = (shape_px[0] // FIELD_PX + 2, shape_px[1] // FIELD_PX + 2)
            field = smooth_noise(nodes, blank_grain_px / FIELD_PX, np.random.default_rng([seed, 1]))
            steepness = float(np.abs(np.gradient(field)).mean()) / FIELD_PX
            self._field = (field - np.float32(np.quantile(field, blank_share))) / np.float32(steepness * RIM_PX)

    def seen(self, y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> Image:
        """Look at the points of a grid, by the places of its rows and columns; (rows, columns)."""
        top, left, window = self._window(y_px, x_px)
        rows, columns = window.shape
        return sampled(window, sampling(rows, y_px - top), sampling(columns, x_px - left))

    def seen_at(self, y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> Image:
        """Look at points that lie on no straight grid, given one by one; as many as given, in their shape."""
        top, left, window = self._window(y_px, x_px)
        points = np.stack([y_px - top, x_px - left])
        return np.asarray(ndimage.map_coordinates(window, points, order=5, mode="nearest"), dtype=np.float32)

    def featured(self, y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> Image:
        """Tell how much of the features is there, 0..1, at the points of a grid by its rows and columns."""
        if self._field is None:
            return np.ones((y_px.size, x_px.size), np.float32)
        rows, columns = self._field.shape
        down, across = sampling(rows, y_px / FIELD_PX), sampling(columns, x_px / FIELD_PX)
        return np.clip(sampled(self._field, down, across) + np.float32(0.5), 0.0, 1.0)

    def _window(self, y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> tuple[int, int, Image]:
        """Cut out and blur what lies around some points; first row, first column, pixels."""
        top, bottom = int(np.floor(y_px.min())) - MARGIN_PX, int(np.ceil(y_px.max())) + MARGIN_PX
        left, right = int(np.floor(x_px.min())) - MARGIN_PX, int(np.ceil(x_px.max())) + MARGIN_PX
        window = self._pasted(top, left, (bottom - top + 1, right - left + 1))
        if self._field is not None:
            there = self.featured(np.arange(top, bottom + 1.0), np.arange(left, right + 1.0))
            window = np.float32(BLANK_GREY) + there * (window - np.float32(BLANK_GREY))
        blurred = cv2.GaussianBlur(window, (KERNEL_PX, KERNEL_PX), BLUR_SIGMA_PX)
        return top, left, np.asarray(blurred, dtype=np.float32)

    def _pasted(self, top: int, left: int, shape: tuple[int, int]) -> Image:
        window = np.empty(shape, dtype=np.float32)
        for row in range(top // DIE_PX, (top + shape[0] - 1) // DIE_PX + 1):
            for column in range(left // DIE_PX, (left + shape[1] - 1) // DIE_PX + 1):
                y, x = row * DIE_PX - top, column * DIE_PX - left
                into = np.s_[max(y, 0) : y + DIE_PX, max(x, 0) : x + DIE_PX]
                part = window[into]
                out_of = np.s_[max(-y, 0) : max(-y, 0) + part.shape[0], max(-x, 0) : max(-x, 0) + part.shape[1]]
                window[into] = self._die(row, column)[out_of]
        return window

    def _drawn(self, row: int, column: int) -> Image:
        random = np.random.default_rng([self._seed, 2, row, column])
        return self._draw((DIE_PX, DIE_PX), PIXEL_UM, random)[0]


def draw_speckle(shape_px: tuple[int, int], pixel_um: float, random: np.random.Generator) -> tuple[Image, Image]:
    """Draw a sprayed speckle pattern, as measurements of deformation use it, and no height; both (rows, columns)."""
    fine, coarse = smooth_noise(shape_px, 4.0, random), smooth_noise(shape_px, 9.0, random)
    return np.clip(0.5 + 0.15 * fine + 0.1 * coarse, 0.0, 1.0), np.zeros(shape_px, np.float32)
