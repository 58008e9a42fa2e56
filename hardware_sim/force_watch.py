"""How long the true force stood above a limit, and how high it rose: seen at every look at the gap, not at a poll's."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hardware_sim.contact import SphereContact, Values


@dataclass(frozen=True)
class Seen:
    """What was seen since the watch began; times are the world's."""

    over_nn: float | None = None
    peak_nn: float | None = None
    """Highest force in contact; None: the probe has not touched."""
    over_s: float = 0.0
    longest_over_s: float = 0.0
    times_over: int = 0


class ForceWatch:
    """Looks on while a cantilever is followed; its caller holds the cantilever's lock."""

    def __init__(self, contact: SphereContact) -> None:
        self._contact = contact
        self.begin(None)

    def begin(self, over_nn: float | None) -> None:
        """Forget what was seen, and watch for forces above a limit."""
        self._seen = Seen(over_nn)
        self._limit_gap_nm = -math.inf if over_nn is None else self._contact.gap_at_nm(over_nn)
        self._nearest_nm = math.inf
        self._over_for_s = 0.0

    def look(self, times_s: Values, gaps_nm: Values) -> None:
        """See a probe that touches, or is near, on its way from the first moment to the last."""
        self._nearest_nm = min(self._nearest_nm, float(gaps_nm.min()))
        for step_s, is_over in zip(np.diff(times_s), gaps_nm[1:] < self._limit_gap_nm, strict=True):
            if not is_over:
                self._over_for_s = 0.0
                continue
            begins = self._over_for_s == 0.0
            self._over_for_s += float(step_s)
            self._seen = replace(
                self._seen,
                over_s=self._seen.over_s + float(step_s),
                longest_over_s=max(self._seen.longest_over_s, self._over_for_s),
                times_over=self._seen.times_over + begins,
            )

    def report(self) -> dict[str, Any]:
        """Tell what was seen, as `GET /force` answers it."""
        touched = self._nearest_nm < self._contact.snaps_in_below_nm
        peak_nn = self._contact.stiffness_n_per_m * self._contact.touching_deflection_nm(self._nearest_nm)
        return asdict(replace(self._seen, peak_nn=peak_nn if touched else None))
