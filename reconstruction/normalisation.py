"""What networks see of a frame: grey values in which noise has the same strength everywhere, at any gain and dose.

The generalised Anscombe transform of the frame's own noise (Starck, Murtagh and Bijaoui 1998), from the frame's mean:
    seen(v) = 2 (v - mean) / (r(v) + r(mean)) / SIGMAS    with r(v)² = gain v + 3/8 gain² + offset
which is the difference of two such transforms, written so that a gain of 0 needs no case of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reconstruction.noise import LEAST_VARIANCE, NoiseModel, measure

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", NDArray[np.float32], "Tensor")

NAME = "unit-noise-16"  # as cards call it
SIGMAS = 16.0  # standard deviations of the noise in one unit of a network


@dataclass(frozen=True)
class Normalisation:
    """Between the grey values of one frame and what a network sees; float32, NumPy arrays and tensors alike.

    It belongs to the frame, whichever part of it is looked at.
    """

    noise: NoiseModel
    mean: float  # of the frame, in grey values; seen as 0

    @classmethod
    def of(cls, frame: NDArray[Any]) -> "Normalisation":
        """Measure a frame (y, x)."""
        return cls(measure(frame), float(frame.mean()))

    def seen(self, grey: Values) -> Values:
        """Give what a network is shown."""
        return self._seen(grey, 3 / 8, 0.0)

    def target(self, clean: Values) -> Values:
        """Give what a network should answer where the frame without noise is `clean`: the mean of what is seen.

        So it learns the same from clean targets and from a second noisy frame, seen.
        """
        return self._seen(clean, 1 / 8, self.noise.gain / 4)

    def grey(self, answer: Values) -> Values:
        """Turn what a network answers into grey values; exactly undoes `target`."""
        apart = self._sigmas(answer)
        return (apart * (self.noise.gain / 4) + self._root) * apart + (self.mean + self.noise.gain / 4)

    def grey_deviation(self, answer: Values, deviation: Values) -> Values:
        """Turn the standard deviation of an answer into that of its grey value."""
        return (self._sigmas(answer) * (self.noise.gain / 2) + self._root) * deviation * SIGMAS

    @property
    def _root(self) -> float:
        return float(max(self._variance(self.mean, 3 / 8), LEAST_VARIANCE) ** 0.5)

    def _variance(self, value: float, share: float) -> float:
        return self.noise.gain * value + share * self.noise.gain**2 + self.noise.offset

    def _seen(self, grey: Values, share: float, shift: float) -> Values:
        root: Values = (grey * self.noise.gain + self._variance(0.0, share)).clip(0) ** 0.5  # type: ignore[assignment]
        return (grey - (self.mean + shift)) * (2 / SIGMAS) / (root + self._root)

    def _sigmas(self, answer: Values) -> Values:
        """From the mean, in standard deviations of the noise; not below what stands for no light at all."""
        least = -2 * self._root / self.noise.gain if self.noise.gain > 0 else -np.inf
        return (answer * SIGMAS).clip(least)
