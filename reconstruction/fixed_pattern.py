"""What the detector adds to every frame alike: stripes and spots, estimated from the frames themselves.

The specimen moves from tile to tile and the pattern does not. A stripe is the median along a column or row, spots are
what the mean of many frames keeps; each counts only where two halves of the frames say the same. Smooth shading is
left alone: the high-pass of registration takes it out. Spots are looked for at half resolution: the smoothing that
noise asks for leaves nothing finer.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.pyramid import halved
from reconstruction.strips import Image

FEWEST_FRAMES = 8
ENOUGH_FRAMES = 32
MOST_LINES = 96  # that a median along a stripe is taken over
BROAD_PX = 97  # box that leaves stripes, twice over; broader ones are shading
SPOT_BOX = (25, 25)  # halved px
CALM = 0.01  # relative scatter; calmer surroundings count no more
SIGNIFICANT = 6.0  # standard deviations, of stripes as a whole
CORRELATED_PX = 2.0  # differences of neighbouring columns are that much alike
BLURRED = 0.3  # of the correlation: what the next column has of it behind an optical system
BANDS = 16
SPOT_SIGNIFICANT = 4.0  # standard deviations, in each half
SPOT_RIM = 5  # halved px
SPOT_SIGMA = 0.43  # halved px; 1 px together with the halving


@dataclass(frozen=True)
class FixedPattern:
    """Frame = specimen * `spots` + `columns` + `rows`: (rows, columns), (columns,) and (rows,); grey values."""

    columns: Image
    rows: Image
    spots: Image

    def removed(self, part: NDArray[Any], window: tuple[slice, slice]) -> Image:
        """Take the pattern out of the part of a frame that a window (y, x) cuts out."""
        stripes = self.rows[window[0], None] + self.columns[None, window[1]]
        return np.asarray((part - stripes) / self.spots[window], np.float32)


class PatternEstimate:
    """Learns from the first frames that it is shown; two halves of them apart."""

    def __init__(self) -> None:
        self._profiles: tuple[list[Image], list[Image]] = ([], [])  # of columns, of rows
        self._halves = _Mean(), _Mean()

    @property
    def complete(self) -> bool:
        return self._count >= ENOUGH_FRAMES

    @property
    def _count(self) -> int:
        return len(self._profiles[0])

    def add(self, frame: NDArray[Any]) -> None:
        self._halves[self._count % 2].add(halved(frame))
        for profiles, turned in zip(self._profiles, (frame, frame.T), strict=True):
            profiles.append(_profile(turned))

    def pattern(self) -> FixedPattern | None:
        """Give the pattern; None where there is none, or too few frames to tell."""
        if self._count < FEWEST_FRAMES:
            return None
        columns, rows = (_stripes(profiles) for profiles in self._profiles)
        spots = _spots(*self._halves, rows[:, None] + columns[None, :])
        if not (columns.any() or rows.any() or (spots != 1).any()):
            return None
        return FixedPattern(columns, rows, spots)


class _Mean:
    """Mean over halved frames of each pixel over its surroundings, less 1; where it is calm, a frame counts most."""

    def __init__(self) -> None:
        self._count = 0
        self._fainter = 0.0

    def add(self, frame: NDArray[Any]) -> None:
        level = frame.astype(np.float32)
        around = np.maximum(cv2.blur(level, SPOT_BOX), 1.0)
        relative = np.asarray(cv2.GaussianBlur(level / around, (0, 0), SPOT_SIGMA) - 1, np.float32)
        weight = 1 / (cv2.blur(np.square(relative), SPOT_BOX) + np.float32(CALM**2))
        if not self._count:
            self._total, self._weight = np.zeros_like(level), np.zeros_like(level)
        self._count += 1
        self._total += weight * relative
        self._weight += weight
        self._fainter += float((1 / around).mean())

    def without(self, stripes: Image) -> tuple[Image, Image]:
        """Give the mean less what halved stripes (grey values) make of it, and its standard error."""
        smooth = cv2.GaussianBlur(stripes * np.float32(self._fainter / self._count), (0, 0), SPOT_SIGMA)
        mean = self._total / self._weight - np.asarray(smooth, np.float32)
        return mean, np.asarray(1 / np.sqrt(self._weight), np.float32)


def _profile(frame: NDArray[Any]) -> Image:
    """Median of each column, of what is narrow along the rows."""
    lines = frame[:: max(1, frame.shape[0] // MOST_LINES)].astype(np.float32)
    lines -= cv2.blur(cv2.blur(lines, (BROAD_PX, 1)), (BROAD_PX, 1))
    lines.sort(axis=0)  # takes a third of the time of `median`
    return np.asarray((lines[(len(lines) - 1) // 2] + lines[len(lines) // 2]) / 2, np.float32)


def _stripes(profiles: list[Image]) -> Image:
    """What profiles have in common, as far as two halves of them agree in each band; zeros where they do not.

    Stripes differ from column to column, as nothing does that an optical system blurs: differences tell them from lines
    of a specimen that lie at about the same place in every tile.
    """
    one, other = (np.median(profiles[start::2], axis=0) for start in range(2))
    sharp = np.diff(one), np.diff(other)
    if min(half.std() for half in sharp) == 0.0:
        return np.zeros_like(profiles[0])
    agreement = _correlation(*sharp)
    beside = max(_correlation(sharp[0][1:], sharp[1][:-1]), _correlation(sharp[0][:-1], sharp[1][1:]))
    surely = math.atanh(agreement) * math.sqrt(len(one) / CORRELATED_PX)
    if surely < SIGNIFICANT or beside > BLURRED * agreement:
        return np.zeros_like(profiles[0])
    first, second = np.fft.rfft(one), np.fft.rfft(other)
    share = _band_means(np.real(first * second.conj())) / _band_means((np.abs(first) ** 2 + np.abs(second) ** 2) / 2)
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(np.fft.irfft(2 * share / (1 + share) * (first + second) / 2, len(one)), np.float32)


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.clip(np.corrcoef(one, other)[0, 1], -0.9999, 0.9999))


def _band_means(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the band that each frequency lies in."""
    bands = np.arange(len(spectrum)) * BANDS // len(spectrum)
    means = np.bincount(bands, spectrum, BANDS) / np.maximum(np.bincount(bands, minlength=BANDS), 1)
    return np.asarray(means[bands])


def _spots(first: _Mean, second: _Mean, stripes: Image) -> Image:
    """Relative brightness of each pixel where both halves of the frames find it changed; 1 elsewhere."""
    (one, one_error), (other, other_error) = (half.without(halved(stripes)) for half in (first, second))
    sure = one / one_error, other / other_error
    core = (np.minimum(np.abs(sure[0]), np.abs(sure[1])) > SPOT_SIGNIFICANT) & (sure[0] * sure[1] > 0)
    if not core.any():
        return np.ones_like(stripes)
    around = cv2.dilate(core.astype(np.float32), np.ones((SPOT_RIM, SPOT_RIM), np.uint8))
    rows, columns = stripes.shape
    whole = cv2.resize(1 + around * (one + other) / 2, (2 * one.shape[1], 2 * one.shape[0]))
    return np.asarray(whole[:rows, :columns], np.float32)
