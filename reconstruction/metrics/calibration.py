"""Is an estimate as far off as it says? The standard deviations of a restorer against its errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_image, as_pair

BINS = 20
Arrays = tuple[Image, Image]


def deviation_ratio(truth: NDArray[Any], estimate: NDArray[Any], deviation: NDArray[Any]) -> float:
    """Compute rms error over rms deviation; 0..inf, no unit, 1 ideal; above 1 it is surer than it should be."""
    error, said = _checked(truth, estimate, deviation)
    total = float(np.square(said).sum())
    return float(np.sqrt(np.square(error).sum() / total)) if total > 0 else np.inf


def coverage_pct(
    truth: NDArray[Any], estimate: NDArray[Any], deviation: NDArray[Any], deviations: float = 2.0
) -> float:
    """Compute the share of pixels whose error is within so many deviations, in %; 0..100.

    Ideal for two deviations: 95.4 where errors are normal.
    """
    error, said = _checked(truth, estimate, deviation)
    return float(100 * (error <= deviations * said).mean())


def deviation_rank(truth: NDArray[Any], estimate: NDArray[Any], deviation: NDArray[Any]) -> float:
    """Correlate the ranks of deviations and of absolute errors (Spearman 1904); -1..1, higher is better.

    Even the best stays well below 1: where the deviation is large, many an error is small by chance. 0 where either is
    constant. Pixels of one value share their mean rank; agrees with scipy `spearmanr`.
    """
    error, said = (_ranks(each) for each in _checked(truth, estimate, deviation))
    power = float(error.var() * said.var())
    return float(((error - error.mean()) * (said - said.mean())).mean() / np.sqrt(power)) if power > 0 else 0.0


def reliability(truth: NDArray[Any], estimate: NDArray[Any], deviation: NDArray[Any]) -> Arrays:
    """Part pixels into 20 groups by their deviation: rms deviation and rms error of each, both (20,), grey values."""
    error, said = _checked(truth, estimate, deviation)
    groups = np.array_split(np.argsort(said, axis=None, kind="stable"), BINS)
    told, found = (np.sqrt([np.square(each.ravel()[group]).mean() for group in groups]) for each in (said, error))
    return told, found


def _checked(truth: NDArray[Any], estimate: NDArray[Any], deviation: NDArray[Any]) -> Arrays:
    """Absolute errors, and the deviations, both (y, x)."""
    y, x = as_pair(truth, estimate)
    said = as_image(deviation)
    if said.shape != y.shape or said.min() < 0:
        raise InputError(f"deviation: {said.shape}, least {said.min():g}; should be {y.shape}, not below 0")
    return np.abs(x - y), said


def _ranks(values: Image) -> Image:
    _, which, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[which.ravel()])
