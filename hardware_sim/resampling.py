"""Images on other grids: between pixels, coarser, finer, and beyond their edges."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hardware_sim.canvas import Image

Float = NDArray[np.float64]

LOBES = 4
"""Half width of the interpolating kernel (windowed sinc), in pixels."""
NARROWEST_SIGMA_PX = 4.0
"""On the fewer pixels: wide enough that averaging and interpolating cost less than 1 % of the width."""


def centred(count: int) -> Float:
    """Number the pixels of a row from its middle."""
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def lanczos(distance_px: Float) -> Float:
    """Weigh neighbours at a distance; the weights of one point still want normalising."""
    inside = np.abs(distance_px) < LOBES
    return np.where(inside, np.sinc(distance_px) * np.sinc(distance_px / LOBES), 0.0)


def sampling(count: int, at_px: Float, width_px: float = 1.0) -> sparse.csr_matrix:
    """Make the matrix (samples, count) that interpolates a row of pixels at `at_px`; its edges go on for ever.

    With `width_px` above 1 it first takes away what samples so far apart cannot show.
    """
    reach = math.ceil(LOBES * width_px)
    neighbours = np.floor(at_px).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    weights = lanczos((neighbours - at_px[:, None]) / width_px)
    weights /= weights.sum(axis=1, keepdims=True)
    samples = np.broadcast_to(np.arange(at_px.size)[:, None], neighbours.shape)
    inside = np.clip(neighbours, 0, count - 1)
    entries = (weights.ravel().astype(np.float32), (samples.ravel(), inside.ravel()))
    return sparse.csr_matrix(entries, shape=(at_px.size, count))


def sampled(image: Image, down: sparse.csr_matrix, across: sparse.csr_matrix) -> Image:
    """Sample an image along both axes."""
    return np.ascontiguousarray((across @ np.asarray(down @ image).T).T)


def regridded(image: Image, scale: float) -> Image:
    """Sample an image at multiples of `scale` pixels, along both axes."""
    if scale == 1:
        return image
    down, across = (
        sampling(count, scale * np.arange(int((count - 1) / scale + 1e-9) + 1, dtype=np.float64), max(scale, 1.0))
        for count in image.shape
    )
    return sampled(image, down, across)


class Field:
    """An image that goes on in its mean grey for ever, to be looked at anywhere."""

    def __init__(self, image: Image, pixel_um: float, outside: float) -> None:
        self.image = image
        self.pixel_um = pixel_um
        self._outside = outside

    def around(self, x_um: float, y_um: float, shape_px: tuple[int, int]) -> Image:
        """Look at (rows, columns) pixels; the point (x, y) lies at ((rows - 1) / 2, (columns - 1) / 2) of them."""
        rows, columns = shape_px
        top, down = _split(y_um / self.pixel_um - (rows - 1) / 2)
        left, across = _split(x_um / self.pixel_um - (columns - 1) / 2)
        source = self._window(top - LOBES, left - LOBES, rows + 2 * LOBES, columns + 2 * LOBES)
        shifted = cv2.sepFilter2D(source, cv2.CV_32F, _shift_kernel(across), _shift_kernel(down))
        return np.asarray(shifted, dtype=np.float32)[LOBES:-LOBES, LOBES:-LOBES]

    def _window(self, top: int, left: int, rows: int, columns: int) -> Image:
        height, width = self.image.shape
        if top >= 0 and left >= 0 and top + rows <= height and left + columns <= width:
            return self.image[top : top + rows, left : left + columns]
        window = np.full((rows, columns), self._outside, dtype=np.float32)
        row, end_row = max(top, 0), min(top + rows, height)
        column, end_column = max(left, 0), min(left + columns, width)
        if row < end_row and column < end_column:
            inside = self.image[row:end_row, column:end_column]
            window[row - top : end_row - top, column - left : end_column - left] = inside
        return window


def blurred(image: Image, sigma_px: float) -> Image:
    """Blur with a Gaussian of any width; a wide one is computed on fewer pixels, which show it as well."""
    shrink = 2 ** max(math.floor(math.log2(max(sigma_px, 1.0) / NARROWEST_SIGMA_PX)), 0)
    if shrink == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
    rows, columns = image.shape
    fewer = (max(columns // shrink, 1), max(rows // shrink, 1))
    small = cv2.resize(image, fewer, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / shrink, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _split(coordinate_px: float) -> tuple[int, float]:
    whole = math.floor(coordinate_px)
    return whole, coordinate_px - whole


def _shift_kernel(fraction_px: float) -> Float:
    """Weights of the neighbours -LOBES..LOBES of a point that lies `fraction_px` (0..1) above a node."""
    weights = lanczos(np.arange(-LOBES, LOBES + 1, dtype=np.float64) - fraction_px)
    weights /= weights.sum()
    return weights
