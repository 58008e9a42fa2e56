"""Two strips laid over each other: how well they match at a shift, and what a match by chance would be worth.

A shift s (y, x) says that `first[p + s]` shows what `second[p]` shows.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.bending import Blocks, in_blocks
from reconstruction.correlation import Spectra, chance_variance, peaks, spectra
from reconstruction.noise import KERNEL
from reconstruction.refinement import Refined, mean_and_deviation, ncc, refine, worst_loss
from reconstruction.strips import LEAST_STRIP_PX, Image, high_passed, smoothed, tapered

Shift = tuple[int, int]  # y, x in px
SAME_PEAK_PX = 3
CLIMB_PX = 12
ENOUGH_PIXELS = 16384  # to tell one NCC from another
LEAST_LOSS = 0.3  # noise alone loses more
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@dataclass(frozen=True)
class Candidate:
    """A shift with the NCC of the overlap that it implies."""

    shift_px: Shift
    ncc: float


@dataclass(frozen=True)
class StripPair:
    """Grey strips (y, x) of equal shape, and the least and greatest shift of interest."""

    first: NDArray[Any]
    second: NDArray[Any]
    low: Shift
    high: Shift

    @cached_property
    def _detail(self) -> tuple[Image, Image]:
        return high_passed(self.first), high_passed(self.second)

    @cached_property
    def _strips(self) -> tuple[Image, Image]:
        return smoothed(self._detail[0], self.smoothing_px), smoothed(self._detail[1], self.smoothing_px)

    @cached_property
    def smoothing_px(self) -> float:
        """Sigma of the smoothing, chosen from the noise of the strips."""
        if self.signal_to_noise > 4.0:
            return 0.7
        return 1.2 if self.signal_to_noise > 0.5 else 2.0

    @cached_property
    def signal_to_noise(self) -> float:
        """Variance of the structure over that of the noise, of the poorer strip."""
        return min(signal_to_noise(image) for image in self._detail)

    def spread(self) -> float:
        """Give the standard deviation of the poorer strip, in grey values."""
        return min(mean_and_deviation(image)[1] for image in self._detail)

    @cached_property
    def _spectra(self) -> Spectra:
        first, second = (tapered(image) for image in self._detail)
        return spectra(first, second, self.low, self.high)

    def candidates(self) -> list[Candidate]:
        """List the best peaks of the correlation, by falling NCC."""
        found = [self.at(shift) for shift in peaks(self._spectra, self.low, self.high, self.smoothing_px)]
        return sorted(found, key=lambda candidate: -candidate.ncc)

    def at(self, shift: Shift) -> Candidate:
        """Measure the zero-mean NCC at a shift; of a large overlap on some of its rows."""
        one, other = overlap(*self._strips, shift)
        every = max(1, one.size // ENOUGH_PIXELS)
        return Candidate(shift, ncc(one[::every], other[::every]))

    def refined(self, shift: Shift) -> Refined | None:
        """Refine a shift on the overlap alone."""
        return refine(*self._alone(shift), self._correlation_px2)

    def most(self, rival: Candidate) -> float:
        """Give the greatest NCC that a peak between the pixels may have where a rival lies at whole ones."""
        return rival.ncc / max(self._worst_loss, LEAST_LOSS)

    @cached_property
    def _worst_loss(self) -> float:
        image = self._strips[1]
        return worst_loss(image[: max(LEAST_STRIP_PX, ENOUGH_PIXELS // image.shape[1])])

    def in_blocks(self, whole: Refined) -> tuple[Refined, Blocks]:
        """Tell how a refined shift varies over the overlap, and refine it again where it does."""
        return in_blocks(whole, self._correlation_px2)

    def _alone(self, shift: Shift) -> tuple[Image, Image]:
        """Filter the overlap alone, so that both strips have the same surroundings."""
        one, other = (
            smoothed(high_passed(part), self.smoothing_px) for part in overlap(self.first, self.second, shift)
        )
        return one, other

    @property
    def _correlation_px2(self) -> float:
        """Area over which the smoothing makes noise alike."""
        return 4 * math.pi * self.smoothing_px**2

    def inside(self, shift: Shift, margin_px: int = 0) -> bool:
        """Tell whether a shift is of interest, at least `margin_px` away from the last one that is."""
        return all(
            low + margin_px <= at <= high - margin_px for low, at, high in zip(self.low, shift, self.high, strict=True)
        )

    def climbed(self, start: Candidate) -> Candidate:
        """Walk to the nearest whole-pixel maximum of the NCC: along a ridge a correlation peak may lie beside it."""
        best = start
        for _ in range(CLIMB_PX):
            around = [(best.shift_px[0] + dy, best.shift_px[1] + dx) for dy, dx in NEIGHBOURS]
            higher = max((self.at(shift) for shift in around if self.inside(shift)), key=lambda c: c.ncc, default=best)
            if higher.ncc <= best.ncc:
                break
            best = higher
        return best

    def rivals_along(self, best: Candidate, direction: NDArray[np.float64]) -> list[Candidate]:
        """List the maxima of the NCC on the line through a shift along a direction (y, x), itself left out."""
        span = sum(high - low for low, high in zip(self.low, self.high, strict=True))
        line: list[Candidate] = []
        for step in range(-span, span + 1):
            y, x = (round(at + step * part) for at, part in zip(best.shift_px, direction, strict=True))
            if self.inside((y, x)):
                line.append(self.at((y, x)))
        triples = zip(line, line[1:], line[2:], strict=False)
        tops = [middle for before, middle, after in triples if middle.ncc >= max(before.ncc, after.ncc)]
        return [c for c in tops if np.abs(np.subtract(c.shift_px, best.shift_px)).max() > SAME_PEAK_PX]

    def chance_deviation(self, shift: Shift) -> float:
        """Estimate the scatter of the NCC of unrelated strips with these spectra (Bartlett 1935)."""
        first, second = (tapered(part - part.mean()) for part in overlap(*self._strips, shift))
        return math.sqrt(chance_variance(spectra(first, second, (0, 0), (0, 0)), 0.0) / first.size)

    def rough_deviation(self, shift: Shift) -> float:
        """Estimate the same from the spectra of the strips, which hold more than the overlap."""
        return math.sqrt(chance_variance(self._spectra, self.smoothing_px) / overlap(*self._detail, shift)[0].size)


def overlap(first: NDArray[Any], second: NDArray[Any], shift: Shift) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut the parts of two strips that show the same at a shift."""
    y, x = shift
    rows, columns = first.shape
    return (
        first[max(0, y) : rows + min(0, y), max(0, x) : columns + min(0, x)],
        second[max(0, -y) : rows - max(0, y), max(0, -x) : columns - max(0, x)],
    )


def signal_to_noise(image: Image) -> float:
    """Give the variance of the structure over that of the white noise (Immerkaer 1996)."""
    mean, deviation = mean_and_deviation(np.asarray(cv2.filter2D(image, -1, KERNEL), np.float32)[1:-1, 1:-1])
    noise = mean**2 + deviation**2
    return max(mean_and_deviation(image)[1] ** 2 - noise, 0.0) / max(noise, 1e-12)
