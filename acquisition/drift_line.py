"""How far the specimen has drifted: a straight line through the last visits to an anchor, and how far to trust it."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VISITS = 8
"""Through which the line goes: enough to tell a rate from errors of landing, few enough to follow one that wanders."""
SIGNIFICANT = 3.0
"""Standard errors by which a rate must differ from none before it is followed between visits."""
SLIP = 4.0
"""Standard errors; what lies further off, and beyond three tolerances, is no drift but a slip: a new line begins."""
TOLERANCES = 3.0
MOST_BEND = 2.5
"""Chi squared over its degrees of freedom, of a line; beyond, the rate has changed, and fewer visits tell it better."""
SPEEDS = 3
"""Latest rates of which the fastest counts for the next interval; one that turns round is slow for a moment."""
GROWTH = 1.5
"""Of the interval from one visit to the next, at most: what was calm for 20 s need not be so for minutes."""
LEAST_SPEED_UM_PER_S = 1e-12
AHEAD = 2.0
"""Intervals for which the line is followed; after that visits have failed, and the rate is an old one."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Visit:
    """When the anchor was visited, by how much (x, y) targets are to be moved, and the standard error on an axis."""

    at_s: float
    offset_um: Vector
    error_um: float


class DriftLine:
    """The line as far as it is known; it begins with an offset and no visit."""

    def __init__(
        self, tolerance_um: float, shortest_s: float, longest_s: float, offset_um: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._tolerance_um, self._shortest_s, self._longest_s = tolerance_um, shortest_s, longest_s
        self._visits: deque[Visit] = deque(maxlen=VISITS)
        self._at_s = 0.0
        self._offset_um: Vector = np.array(offset_um)
        self._offset_error_um = math.inf
        self.rate_um_per_s: Vector = np.zeros(2)
        self.rate_error_um_per_s = math.inf
        self._speeds_um_per_s: deque[float] = deque(maxlen=SPEEDS)
        self.interval_s = shortest_s
        """Until the next visit: by then the fastest drift that is likely has come to the tolerance."""

    @property
    def is_significant(self) -> bool:
        """Whether the rate can be told from none."""
        return float(np.hypot(*self.rate_um_per_s)) > SIGNIFICANT * self.rate_error_um_per_s

    def offset_um(self, now_s: float) -> Vector:
        """By how much (x, y) targets have to be moved now."""
        if not self.is_significant:
            return self._offset_um
        return self._offset_um + self.rate_um_per_s * min(now_s - self._at_s, AHEAD * self.interval_s)

    def add(self, visit: Visit) -> bool:
        """Take a visit into account; tells whether the specimen has slipped since the one before."""
        slipped = self._has_slipped(visit)
        if slipped:
            self._visits.clear()
        self._visits.append(visit)
        self._fit()
        self._set_interval()
        return slipped

    def _set_interval(self) -> None:
        self._speeds_um_per_s.append(float(np.hypot(*self.rate_um_per_s)) + self.rate_error_um_per_s)
        until_s = self._tolerance_um / max(*self._speeds_um_per_s, LEAST_SPEED_UM_PER_S)
        until_s = min(until_s, GROWTH * self.interval_s, self._longest_s)
        self.interval_s = max(until_s, self._shortest_s)

    def _has_slipped(self, visit: Visit) -> bool:
        if not self._visits:
            return False
        away_s = visit.at_s - self._at_s
        expected_um = self._offset_um + (self.rate_um_per_s * away_s if self.is_significant else 0.0)
        error_um = math.hypot(self._offset_error_um, self.rate_error_um_per_s * away_s, visit.error_um)
        off_um = float(np.abs(visit.offset_um - expected_um).max())
        return off_um > max(SLIP * error_um, TOLERANCES * self._tolerance_um)

    def _fit(self) -> None:
        """Draw the line anew through as many of the last visits as lie on one; it is known best at the last of them."""
        visits = list(self._visits)
        latest = visits[-1]
        self._at_s, self._offset_um, self._offset_error_um = latest.at_s, latest.offset_um, latest.error_um
        self.rate_um_per_s, self.rate_error_um_per_s = np.zeros(2), math.inf
        for first in range(len(visits) - 1):
            line = _through(visits[first:])
            if line.bend <= MOST_BEND or first == len(visits) - 2:
                self._offset_um, self.rate_um_per_s = line.offset_um, line.rate_um_per_s
                self._offset_error_um, self.rate_error_um_per_s = line.errors
                return


@dataclass(frozen=True)
class _Line:
    """Offset (x, y) at the last visit and rate, their standard errors, and how badly the visits lie on it."""

    offset_um: Vector
    rate_um_per_s: Vector
    errors: tuple[float, float]
    bend: float  # chi squared over the degrees of freedom


def _through(visits: Sequence[Visit]) -> _Line:
    """Fit a line to two or more visits, x and y with the same weights."""
    errors_um = np.array([visit.error_um for visit in visits])[:, None]
    since_s = np.array([visit.at_s - visits[-1].at_s for visit in visits])
    terms = np.stack([np.ones_like(since_s), since_s], axis=1) / errors_um
    offsets = np.array([visit.offset_um for visit in visits]) / errors_um
    inverse = np.linalg.inv(terms.T @ terms)
    found = inverse @ terms.T @ offsets
    left = offsets - terms @ found
    offset_error, rate_error = np.sqrt(np.diag(inverse))
    bend = float(np.square(left).sum()) / max(left.size - 4, 1)
    return _Line(found[0], found[1], (float(offset_error), float(rate_error)), bend)
