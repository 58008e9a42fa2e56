"""How well edges are kept: the two definitions in use of the edge preservation index."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.metrics.images import Image, as_pair


def edge_preservation_index(truth: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Correlate the Laplacians of truth and estimate; -1..1, no unit, higher is better, 1 ideal.

    r = S(Ly - mean)(Lx - mean) / sqrt(S(Ly - mean)² S(Lx - mean)²), L the 3 x 3 Laplacian (0 1 0, 1 -4 1, 0 1 0) where
    it lies inside. 0 if either has no edges. Source: Sattar, Floreby, Salomonsson and Lovstrom 1997, IEEE TIP 6, 888.
    """
    y, x = (_laplacian(image) for image in as_pair(truth, estimate))
    y, x = y - y.mean(), x - x.mean()
    power = float(np.square(y).sum() * np.square(x).sum())
    return float((y * x).sum() / np.sqrt(power)) if power > 0 else 0.0


def edge_gain(truth: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Compare the summed gradients, S|grad x| / S|grad y|; 0..inf, no unit, 1 ideal.

    Above 1: noise or ringing; below 1: blur. Forward differences. This is what despeckling papers call EPI.
    """
    y, x = (_gradient(image) for image in as_pair(truth, estimate))
    total = float(y.sum())
    return float(x.sum()) / total if total > 0 else np.inf


def _laplacian(image: Image) -> Image:
    centre = image[1:-1, 1:-1]
    return np.asarray(image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:] - 4 * centre)


def _gradient(image: Image) -> Image:
    return np.asarray(np.hypot(image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]))
