"""Where along z an image is sharpest: coarse to fine, and a parabola through the top.

The inverse square of the score is a parabola in z as long as a point spread widens as a Gaussian beam does,
1 + (z / width)², far beyond the range in which the score itself is one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COARSE = 9
"""Heights of a whole search: an eighth of the range apart."""
NEAR = 5
"""Heights of a search around a place that is known well: what a parabola and its scatter need."""
NEAR_PART = 0.25
"""Of the range, for that search."""
FINEST = 4
"""How often the steps around the best height may be halved until the peak is resolved."""
IN_PEAK = 0.4
"""Part of the greatest squared score; what lies above it is fitted, 1.2 widths to both sides."""
SCORE_NOISE = 0.003
"""Relative scatter of the scores of one scene at 20 ms; a luckier fit is not believed."""
SIGNIFICANT = 4.0
"""Standard errors by which the parabola must be bent; the chance values of a featureless field reach 2 or 3."""

ScoreAt = Callable[[Sequence[float]], list[float]]
"""Scores of images at heights in um."""


class FocusFailed(Exception):
    """No focus was found here; whoever asked goes on with the one that was expected."""


@dataclass(frozen=True)
class Peak:
    """The sharpest height, its standard error, the score there, and how far from it the squared score has halved."""

    z_um: float
    uncertainty_um: float
    score: float
    width_um: float


def find_peak(
    score_at: ScoreAt, expected_um: float, range_um: float, limits_um: tuple[float, float], near: bool = False
) -> Peak:
    """Search a range around an expected height, and once more beside it if the best height lies at its end.

    Args:
        near: try a part of the range first, for the expectation is a good one.

    Raises:
        FocusFailed: nothing is sharper than the rest, or the best height lies at the end of what may be searched.
    """
    if near:
        with suppress(FocusFailed):
            return _search(score_at, expected_um, range_um * NEAR_PART, limits_um, NEAR)
    return _search(score_at, expected_um, range_um, limits_um, COARSE)


def fitted(scores: Mapping[float, float]) -> Peak:
    """Fit the peak through scores above 0, by height.

    Raises:
        FocusFailed: they show no peak.
    """
    if len(scores) <= 3:
        raise FocusFailed(f"only {len(scores)} heights show anything")
    z_um = np.array(sorted(scores))
    inverse = np.array([scores[z] for z in z_um]) ** -2.0
    middle_um, scale_um = float(z_um.mean()), float(np.ptp(z_um)) / 2
    terms = np.vander((z_um - middle_um) / scale_um, 3, increasing=True)
    (level, slope, bend), covariance = _least_squares(terms / inverse[:, None], np.ones(len(z_um)))
    if bend <= SIGNIFICANT * math.sqrt(covariance[2, 2]) or (least := level - slope**2 / (4 * bend)) <= 0:
        raise FocusFailed("no height is sharper than the others")
    by_slope, by_bend = -1 / (2 * bend), slope / (2 * bend**2)
    variance = (
        by_slope**2 * covariance[1, 1] + by_bend**2 * covariance[2, 2] + 2 * by_slope * by_bend * covariance[1, 2]
    )
    return Peak(
        z_um=middle_um - slope / (2 * bend) * scale_um,
        uncertainty_um=math.sqrt(variance) * scale_um,
        score=1 / math.sqrt(least),
        width_um=math.sqrt(least / bend) * scale_um,
    )


def _search(score_at: ScoreAt, centre_um: float, range_um: float, limits_um: tuple[float, float], count: int) -> Peak:
    def look(heights_um: Sequence[float]) -> dict[float, float]:
        inside = [z for z in heights_um if limits_um[0] <= z <= limits_um[1]]
        return dict(zip(inside, score_at(inside), strict=True)) if inside else {}

    step_um = range_um / (count - 1)
    ladder = [(i - (count - 1) / 2) * step_um for i in range(count)]
    seen = look([centre_um + up_um for up_um in ladder])
    if (end_um := _best_at_an_end(seen)) is not None:
        seen |= look([end_um + up_um for up_um in ladder])
    if (end_um := _best_at_an_end(seen)) is not None:
        raise FocusFailed(f"the sharpest height {end_um:.6g} um lies at an end of what was searched")
    for _ in range(FINEST):
        if len(_in_peak(seen)) >= NEAR:
            break
        step_um /= 2
        best_um = max(seen, key=lambda z: seen[z])
        seen |= look([best_um - step_um, best_um + step_um])
    peak = fitted(_in_peak(seen))
    if not min(seen) <= peak.z_um <= max(seen):
        raise FocusFailed(f"the peak at {peak.z_um:.6g} um lies outside of what was searched")
    return peak


def _best_at_an_end(seen: Mapping[float, float]) -> float | None:
    if not any(seen.values()):
        raise FocusFailed("nothing stands out of the noise" if seen else "the limits leave nothing of the range")
    best_um = max(seen, key=lambda z: seen[z])
    return best_um if best_um in (min(seen), max(seen)) else None


def _in_peak(seen: Mapping[float, float]) -> dict[float, float]:
    """The heights around the best one, as far as the score does not fall too low."""
    heights_um = sorted(seen)
    least = math.sqrt(IN_PEAK) * max(seen.values())
    best = heights_um.index(max(seen, key=lambda z: seen[z]))
    first, last = best, best
    while first > 0 and seen[heights_um[first - 1]] > least:
        first -= 1
    while last < len(heights_um) - 1 and seen[heights_um[last + 1]] > least:
        last += 1
    return {z: seen[z] for z in heights_um[first : last + 1]}


def _least_squares(
    terms: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters and their covariance, by the scatter of the values around the fit."""
    inverse = np.linalg.inv(terms.T @ terms)
    found = inverse @ terms.T @ values
    residual = values - terms @ found
    scatter = float(residual @ residual) / (len(values) - terms.shape[1])
    return found, inverse * max(scatter, (2 * SCORE_NOISE) ** 2)  # squaring doubles a relative error
