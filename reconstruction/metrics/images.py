"""What all metrics ask of their images."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError

Image: TypeAlias = NDArray[np.float64]


def as_image(values: NDArray[Any]) -> Image:
    """Take an image (y, x) as float64.

    Raises:
        InputError: not two-dimensional, empty, or with values that are not finite.
    """
    image = np.asarray(values, dtype=np.float64)
    if image.ndim != 2 or not image.size:
        raise InputError(f"image: shape {np.shape(values)}, should be (y, x) with at least one pixel")
    if not np.isfinite(image).all():
        raise InputError("image: some grey values are not finite")
    return image


def as_pair(truth: NDArray[Any], estimate: NDArray[Any]) -> tuple[Image, Image]:
    """Take two images (y, x) of one shape as float64.

    Raises:
        InputError: as `as_image`, or the shapes differ.
    """
    one, other = as_image(truth), as_image(estimate)
    if one.shape != other.shape:
        raise InputError(f"images: {one.shape} and {other.shape} differ in shape (y, x)")
    return one, other


def checked_range(data_range: float) -> float:
    """Refuse a range of grey values that is not positive.

    Raises:
        InputError: it is not.
    """
    if not 0 < data_range < np.inf:
        raise InputError(f"data_range: {data_range:g} is not above 0")
    return float(data_range)


def range_of_bits(dtype: np.dtype[Any], most: float) -> float:
    """Give the range of frames' grey values: 255 of 8 bits, else that of as many bits as the brightest value needs."""
    if dtype == np.uint8:
        return 255.0
    return float(2 ** int(np.ceil(np.log2(max(most, 255) + 1))) - 1)
