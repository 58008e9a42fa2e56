"""Does an image, blurred, explain the one that it was made of? NanoJ-SQUIRREL's error map, RSE and RSP."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize_scalar

from reconstruction.metrics.images import Image, as_pair

MOST_SIGMA_PX = 8.0
SIGMA_TOLERANCE_PX = 1e-3
LEAST_SIGMA_PX = 0.05  # below, the discrete kernel is a single pixel


@dataclass(frozen=True)
class ErrorMap:
    """What is left between the reference and the blurred image.

    `rse`: root mean square, grey values of the reference, lower is better. `rsp`: Pearson's correlation, -1..1, higher
    is better. `sigma_px`, `gain`, `offset`: the fitted blur and scale. `error` (y, x): absolute difference.
    """

    rse: float
    rsp: float
    sigma_px: float
    gain: float
    offset: float
    error: Image


def squirrel(reference: NDArray[Any], image: NDArray[Any]) -> ErrorMap:
    """Fit (gain * image + offset) blurred by a Gaussian of `sigma_px` (0..8) to the reference, both (y, x).

    Gain and offset by linear regression inside of Brent's search for the sigma with the least root mean square. What
    the image shows and its blurred self cannot explain in the reference was made up. Source: Culley et al. 2018,
    Nature Methods 15, 263.

    Raises:
        InputError: the shapes differ.
    """
    wanted, given = as_pair(reference, image)

    def rest(sigma_px: float) -> float:
        return _fitted(wanted, given, sigma_px).rse

    found = minimize_scalar(rest, bounds=(0.0, MOST_SIGMA_PX), method="bounded", options={"xatol": SIGMA_TOLERANCE_PX})
    best, sharp = _fitted(wanted, given, float(found.x)), _fitted(wanted, given, 0.0)
    return sharp if sharp.rse <= best.rse else best


def _fitted(wanted: Image, given: Image, sigma_px: float) -> ErrorMap:
    blurred = ndimage.gaussian_filter(given, sigma_px, mode="nearest") if sigma_px > LEAST_SIGMA_PX else given
    away, target = blurred - blurred.mean(), wanted - wanted.mean()
    power, together = float(np.square(away).sum()), float((away * target).sum())
    gain = together / power if power > 0 else 0.0
    error = np.abs(target - gain * away)
    total = np.sqrt(power * float(np.square(target).sum()))
    return ErrorMap(
        rse=float(np.sqrt(np.square(error).mean())),
        rsp=float(together / total) if total > 0 else 0.0,
        sigma_px=sigma_px if sigma_px > LEAST_SIGMA_PX else 0.0,
        gain=gain,
        offset=float(wanted.mean() - gain * blurred.mean()),
        error=error,
    )
