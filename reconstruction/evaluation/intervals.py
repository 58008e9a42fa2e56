"""Means over images, and how sure they are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
SEED = 1


class Mean(NamedTuple):
    """Mean of `images` finite values and its 95 % interval; None where there are none, or not two of them."""

    mean: float | None
    low: float | None
    high: float | None
    images: int


def mean_with_interval(values: Sequence[float]) -> Mean:
    """Average what is finite; the interval is that of the means of 2000 draws with replacement (Efron 1979)."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size < 2:
        return Mean(float(finite[0]) if finite.size else None, None, None, int(finite.size))
    draws = np.random.default_rng(SEED).integers(0, finite.size, (RESAMPLES, finite.size))
    low, high = np.quantile(finite[draws].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(float(finite.mean()), float(low), float(high), int(finite.size))
