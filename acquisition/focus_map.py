"""The height of focus over a region, through where it was measured: a plane, or bent where that predicts better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

FLAT = 1e-3
"""Of the longest extent of the places: along a direction in which they extend less, the plane stays level."""
BROAD = 0.1
"""The same for a bent surface."""
LEAST_POINTS_TO_BEND = 6
FOLDS = 10
"""Of the cross-validation, at most; up to so many places, each is predicted from all others."""
SMOOTHINGS = (0.0, 0.01, 0.1, 1.0)
"""Of the thin plate, on places scaled to a region of size one; the best of these and of the plane is taken."""
WORTH_BENDING = 0.8
"""Of the plane's error of prediction: a bent surface has to do better than that."""
LEAST_POINTS_TO_JUDGE = 5
"""A plane goes through any three; with a fourth and a fifth, the one that contradicts the others can be told."""

Values = NDArray[np.float64]
Surface = Callable[[Values], Values]
"""Heights (n,) at places (n, 2), um."""


@dataclass(frozen=True)
class FocusPoint:
    """A place at which the height of focus was measured."""

    x_um: float
    y_um: float
    z_um: float


class FocusMap:
    """The surface through measured points, one or more; it ends `beyond_um` above and below all that was measured."""

    def __init__(self, points: Sequence[FocusPoint], beyond_um: float = 0.0, may_bend: bool = True) -> None:
        places_um, heights_um = _arrays(points)
        self._surface = (_best_surface if may_bend else _plane)(places_um, heights_um)
        self._lowest_um, self._highest_um = heights_um.min() - beyond_um, heights_um.max() + beyond_um

    def z_um(self, x_um: float, y_um: float) -> float:
        """Give the height of focus at a place."""
        return float(np.clip(self.unbounded_um(x_um, y_um), self._lowest_um, self._highest_um))

    def unbounded_um(self, x_um: float, y_um: float) -> float:
        """Give what the surface says at a place, however far from all that was measured."""
        return float(self._surface(np.array([[x_um, y_um]]))[0])


def contradicting(points: Sequence[FocusPoint], largest_jump_um: float) -> list[FocusPoint]:
    """List the points that lie further than this from the plane through all others, found worst first."""
    left, found = list(points), []
    while len(left) >= LEAST_POINTS_TO_JUDGE:
        jumps_um = [_jump_um(left[:i] + left[i + 1 :], point) for i, point in enumerate(left)]
        worst = int(np.argmax(jumps_um))
        if jumps_um[worst] <= largest_jump_um:
            break
        found.append(left.pop(worst))
    return found


def spread(places_um: Sequence[tuple[float, float]], count: int) -> list[int]:
    """Choose places (x, y) far from each other, a corner first; their numbers in rising order."""
    places = np.array(places_um)
    chosen = [int(places.sum(axis=1).argmin())]
    away_um = np.full(len(places), np.inf)
    while len(chosen) < min(count, len(places)):
        away_um = np.minimum(away_um, np.hypot(*(places - places[chosen[-1]]).T))
        chosen.append(int(away_um.argmax()))
    return sorted(chosen)


def _jump_um(others: Sequence[FocusPoint], point: FocusPoint) -> float:
    """Tell how far a point lies from the plane through others."""
    expected_um = _plane(*_arrays(others))(np.array([[point.x_um, point.y_um]]))[0]
    return abs(float(point.z_um - expected_um))


def _arrays(points: Sequence[FocusPoint]) -> tuple[Values, Values]:
    return np.array([(point.x_um, point.y_um) for point in points]), np.array([point.z_um for point in points])


def _plane(places_um: Values, heights_um: Values) -> Surface:
    """Fit a plane, level in each direction in which the places do not extend."""
    centre_um, level_um = places_um.mean(axis=0), heights_um.mean()
    slope = np.linalg.pinv(places_um - centre_um, rcond=FLAT) @ (heights_um - level_um)
    return lambda at_um: level_um + (at_um - centre_um) @ slope


def _thin_plate(smoothing: float) -> Callable[[Values, Values], Surface]:
    """Fit a plane and the least bent plate (Duchon 1977) through what it leaves over."""

    def fit(places_um: Values, heights_um: Values) -> Surface:
        origin_um, size_um = places_um.min(axis=0), np.ptp(places_um, axis=0).max()
        plate = RBFInterpolator((places_um - origin_um) / size_um, heights_um, smoothing=smoothing, degree=1)
        return lambda at_um: np.asarray(plate((at_um - origin_um) / size_um))

    return fit


def _best_surface(places_um: Values, heights_um: Values) -> Surface:
    if len(heights_um) < LEAST_POINTS_TO_BEND or not _broad(places_um):
        return _plane(places_um, heights_um)
    plates = [_thin_plate(smoothing) for smoothing in SMOOTHINGS]
    errors_um = [_prediction_error_um(fit, places_um, heights_um) for fit in plates]
    best = int(np.argmin(errors_um))
    if errors_um[best] < WORTH_BENDING * _prediction_error_um(_plane, places_um, heights_um):
        return plates[best](places_um, heights_um)
    return _plane(places_um, heights_um)


def _prediction_error_um(fit: Callable[[Values, Values], Surface], places_um: Values, heights_um: Values) -> float:
    """Rms error at places that were left out of the fit; infinite where the others do not determine it."""
    folds = np.arange(len(heights_um)) % FOLDS
    missed_um = np.zeros(len(heights_um))
    for fold in np.unique(folds):
        out = folds == fold
        if not _broad(places_um[~out]):
            return float("inf")
        missed_um[out] = fit(places_um[~out], heights_um[~out])(places_um[out]) - heights_um[out]
    return float(np.sqrt(np.square(missed_um).mean()))


def _broad(places_um: Values) -> bool:
    """Tell whether places extend in both directions."""
    longest, shortest = np.linalg.svd(places_um - places_um.mean(axis=0), compute_uv=False)
    return bool(shortest > BROAD * longest)
