"""Pairs out of a specimen that is known: low definition is a tenth of the dose of high definition."""

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.evaluation.data import Case, DataSet
from reconstruction.training.low_definition import Recording, record

SIDE_PX = 384  # of a frame
SOFT_PX = 0.7  # standard deviation of what the microscope does to the specimen
BLACK, WHITE = 10.0, 245.0
QUANTA_RANGE = 0.1, 1e6


def exposures(
    specimen: NDArray[np.float32], name: str, pixel_nm: float, quanta: float, seed: int, frames: int
) -> DataSet:
    """Photograph parts of a specimen (y, x) in 0..1, 384 x 384 px of 8 bit each, with shot noise alone.

    The truth is the mean over all noise. Parts are spread evenly and do not overlap.

    Args:
        quanta: counted in a white pixel, on average.

    Raises:
        InputError: a dose outside 0.1..1e6, or a specimen smaller than a frame.
    """
    least, most = QUANTA_RANGE
    if not least <= quanta <= most:
        raise InputError(f"electrons: {quanta:g} is outside {least:g}..{most:g}")
    rows, columns = (size // SIDE_PX for size in specimen.shape)
    if not rows * columns:
        raise InputError(f"{name}: {specimen.shape[1]} x {specimen.shape[0]} px, a frame has {SIDE_PX} x {SIDE_PX}")
    if not 1 <= frames <= rows * columns:
        raise InputError(f"images: {frames} is outside 1..{rows * columns}, the frames that the specimen has room for")
    soft = np.asarray(cv2.GaussianBlur(specimen, (0, 0), SOFT_PX), np.float32)
    how = Recording(quanta, lag=0.0, read_noise=0.0, line_noise=0.0, blur_px=0.0, black=BLACK, white=WHITE)
    cases = []
    for place in np.linspace(0, rows * columns - 1, frames).astype(int):
        row, column = divmod(int(place), columns)
        part = soft[row * SIDE_PX : (row + 1) * SIDE_PX, column * SIDE_PX : (column + 1) * SIDE_PX]
        frame, mean = record(part, how, np.random.default_rng([seed, row, column]))
        cases.append(Case(f"row {row}, column {column}", frame, np.asarray(mean, np.float32)))
    return DataSet(name, tuple(cases), 255.0, pixel_nm)
