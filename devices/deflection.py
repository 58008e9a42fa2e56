"""Force from the volts of an optical lever: F = k s (V - V0), with stiffness k, sensitivity s and offset V0.

The volts are taken at their word only while the detector can tell, and while they are of now.
"""

import math
import time
from collections.abc import Sequence
from statistics import fmean

from devices.answers import quoted
from devices.errors import ProtocolError, Saturated, Stale
from devices.settings import DeflectionSettings


class Deflection:
    """Turns readings into forces; remembers how often the last one came."""

    def __init__(self, name: str, settings: DeflectionSettings) -> None:
        self._name = name
        self._settings = settings
        self._nn_per_v = settings.sensitivity_nm_per_v * settings.stiffness_n_per_m  # nm/V * N/m
        self._last_v: tuple[float, ...] | None = None
        self._times_read = 0

    def force_nn(self, volts: Sequence[float], asked_s: float) -> float:
        """Return the mean force of the samples of one reading; `asked_s` (`time.monotonic`) is when it was asked for.

        Raises:
            Saturated: one of the samples, whatever the others say.
            Stale: the reading took too long, or its digits have stood still for too long.
            ProtocolError: one of the samples is infinite, or not a number.
        """
        if not all(math.isfinite(sample) for sample in volts):
            raise ProtocolError(self._name, f"samples that are no numbers: {quoted(str(volts))}")
        self._refuse_old(asked_s)
        self._refuse_frozen(tuple(volts))
        for sample in volts:
            if abs(sample) >= self._settings.saturation_v:
                raise Saturated(self._name, f"the detector is saturated: {sample:g} V")
        return (fmean(volts) - self._settings.offset_v) * self._nn_per_v

    def _refuse_old(self, asked_s: float) -> None:
        age_s, limit_s = time.monotonic() - asked_s, self._settings.stale_after_s
        if age_s > limit_s:
            raise Stale(self._name, f"the reading may be {age_s:.3g} s old; {limit_s:g} s are allowed")

    def _refuse_frozen(self, volts: tuple[float, ...]) -> None:
        self._times_read = self._times_read + 1 if volts == self._last_v else 1
        self._last_v = volts
        if 0 < self._settings.frozen_after <= self._times_read:
            raise Stale(self._name, f"the same digits {self._times_read} times in a row: {volts[0]!r} V")
