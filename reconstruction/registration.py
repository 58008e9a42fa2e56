"""Displacement of two overlapping tiles, and whether it is to be believed.

The best few correlation peaks are verified by the zero-mean NCC of the true overlap. A match is accepted when its NCC
stands out of what unrelated strips of the same texture would give (Bartlett's variance of a correlation), and
when no other place matches about as well: a periodic structure is refused, and so is a blank field.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.bending import Blocks
from reconstruction.fixed_pattern import FixedPattern
from reconstruction.local_shifts import NOWHERE, LocalShifts
from reconstruction.refinement import UNKNOWN_PX, Refined
from reconstruction.strip_pair import LEAST_LOSS, SAME_PEAK_PX, Candidate, Shift, StripPair
from reconstruction.strips import LEAST_STRIP_PX, Windows, base_reach_px, overlap_pixels, wider_reaches_px, windows

RIVAL = 0.7  # of Fisher's z of a match further off; beyond, one at the rim of the search before rivals it
CLEAN = 4.0  # signal over noise
POOR_NCC = 0.7  # of clean images: tiles that are distorted or out of focus, or a match by chance
DOUBTFUL = 1.5  # times the significance that such a match needs; true ones have three times as much
ENOUGH_PIXELS = 50_000  # of an overlap; of more, half the resolution tells the shift to some hundredths of a pixel
MOST_PIXELS = 200_000  # that are looked at a second time at full resolution where tiles are distorted
SAME_PLACE_PX = 8.0
AT_REST_PX = 2.0  # what matches so close to no displacement at all is the detector's: dust, stripes
LEAST_STEP_PX = 8.0  # if the stage claims as much
LEAST_SIGNIFICANCE = 6.5  # standard deviations; the greatest of 1e4 chance values lies near 4
CLEARLY = 2.0  # times that; beyond, the spectra of the strips will do for those of the overlap
LEAST_NCC = 0.08
MOST_NCC = 0.97  # of two peaks; beyond, they differ by interpolation: a lattice matches at .997 here, at .98 there
ALL_BUT_ONE = 0.9999
LEAST_LEAD = 0.12  # of Fisher's z over the runner-up, as a fraction of the best
RIDGE_VARIANCE_PX2 = 1.0
RIDGE_PX = 1.5  # runners-up this close to the undetermined line say only that it is undetermined
LEAST_SIGNAL = 0.05  # over noise; with less, looking further finds no more
LEAST_SPREAD = 1e-3  # grey levels; below, a strip is constant


@dataclass(frozen=True, slots=True)
class Edge:
    """Measured displacement of tile `b` relative to tile `a`, px, and what it is worth.

    `score` is the zero-mean NCC of the overlap; the variances say how well each direction is determined (px²). Of an
    accepted edge, `local` says how the displacement varies over the overlap: with the distortion of the tiles.
    """

    a: int
    b: int
    dx_px: float
    dy_px: float
    score: float
    accepted: bool
    var_x_px2: float = 0.01
    var_y_px2: float = 0.01
    cov_xy_px2: float = 0.0
    local: LocalShifts = NOWHERE


def register(
    a: int,
    b: int,
    first: NDArray[Any],
    second: NDArray[Any],
    nominal_px: tuple[float, float],
    pattern: FixedPattern | None = None,
) -> Edge:
    """Measure the displacement of tile `b` (`second`) relative to tile `a` (`first`), both (y, x) and equally large.

    Args:
        nominal_px: what the stage claims, (x, y).
        pattern: what the detector adds to both.
    """
    shape = first.shape[0], first.shape[1]

    def search(reach: int) -> _Found:
        pixels = overlap_pixels(shape, (nominal_px[1], nominal_px[0]))
        found = _search(a, b, first, second, nominal_px, reach, pattern, coarse=2 if pixels > ENOUGH_PIXELS else 1)
        if found.bent and ENOUGH_PIXELS < pixels <= MOST_PIXELS:  # how much each part counts hangs on the resolution
            return _search(a, b, first, second, nominal_px, reach, pattern, coarse=1)
        return found

    found = search(base_reach_px(shape))
    for reach in wider_reaches_px(shape):
        if not found.worth_looking_further:
            break
        wider = search(reach)
        if found.edge.accepted:
            found = wider if wider.edge.accepted and wider.edge.score > found.edge.score else found
            break
        if not wider.edge.accepted:
            found = replace(wider, edge=found.edge)
            continue
        if fisher(found.edge.score) > RIVAL * fisher(wider.edge.score) and _elsewhere(found.edge, wider.edge):
            break  # a match at the rim of the search before and another one: a lattice
        found = wider
    return found.edge


@dataclass(frozen=True)
class _Found:
    """What a search found; `ambiguous`: several places match alike."""

    edge: Edge
    ambiguous: bool = False
    signal_to_noise: float = 0.0
    bent: bool = False

    @property
    def worth_looking_further(self) -> bool:
        """Nothing was found, though there is something; or a poor match of clean images, which only chance makes poor.

        Of a lattice, one would find one more place to be wrong.
        """
        if self.edge.accepted:
            return self.signal_to_noise > CLEAN and self.edge.score < POOR_NCC
        return not self.ambiguous and self.signal_to_noise > LEAST_SIGNAL


def _elsewhere(one: Edge, other: Edge) -> bool:
    return max(abs(one.dx_px - other.dx_px), abs(one.dy_px - other.dy_px)) > SAME_PLACE_PX


def _search(
    a: int,
    b: int,
    first: NDArray[Any],
    second: NDArray[Any],
    nominal_px: tuple[float, float],
    reach: int,
    pattern: FixedPattern | None,
    coarse: int,
) -> _Found:
    """Look no further than `reach` px from what the stage claims."""
    nothing = Edge(a, b, float(nominal_px[0]), float(nominal_px[1]), 0.0, False, UNKNOWN_PX**2, UNKNOWN_PX**2)
    centre = nominal_px[1] / coarse, nominal_px[0] / coarse
    reach = math.ceil(reach / coarse)
    cut = windows((first.shape[0] // coarse, first.shape[1] // coarse), centre, reach)
    if cut is None:
        return _Found(nothing)
    one, other = (_strip(*each, coarse, pattern) for each in ((first, cut.first), (second, cut.second)))
    pair = StripPair(one, other, *_limits(cut, centre, reach))
    if pair.spread() < LEAST_SPREAD:
        return _Found(nothing)

    def displacement_px(candidate: Candidate) -> tuple[float, float]:
        """Whole pixels, (x, y)."""
        y, x = (coarse * (cut.origin_px[axis] + candidate.shift_px[axis]) for axis in range(2))
        return x, y

    peaks = pair.candidates()
    found = [each for each in peaks if not _detectors_own(displacement_px(each), nominal_px)]
    masked = found[:1] != peaks[:1]  # by what the detector adds: further off, only chance would be found
    if not found:
        return _Found(nothing, masked, pair.signal_to_noise)
    best, refined = found[0], pair.refined(found[0].shift_px)
    if refined is None:
        best = pair.climbed(best)
        refined = pair.refined(best.shift_px)
    # first[p + shift] shows second[p], hence tile b lies `origin + shift` from tile a
    y, x = (cut.origin_px[i] + best.shift_px[i] for i in range(2))
    own = refined is not None and _detectors_own(displacement_px(best), nominal_px, refined)
    if refined is None or own or not pair.inside(best.shift_px, margin_px=2):  # at the rim: the true one may lie beyond
        edge = replace(nothing, dx_px=float(coarse * x), dy_px=float(coarse * y), score=best.ncc)
        return _Found(edge, masked or own, pair.signal_to_noise)
    significant = _significant(pair, best, refined)
    unique = significant and _unique(pair, best, refined, found[1:])
    whole, blocks = pair.in_blocks(refined) if unique else (refined, None)
    covariance = coarse**2 * whole.covariance_px2
    edge = Edge(
        a,
        b,
        coarse * (x + float(whole.shift_px[1])),
        coarse * (y + float(whole.shift_px[0])),
        whole.ncc,
        unique,
        float(covariance[1, 1]),
        float(covariance[0, 0]),
        float(covariance[0, 1]),
        _local((first.shape[0], first.shape[1]), cut, coarse, best.shift_px, blocks) if blocks else NOWHERE,
    )
    bent = blocks is not None and blocks.bent
    return _Found(edge, (significant or masked) and not unique, pair.signal_to_noise, bent)


def _detectors_own(
    displacement_px: tuple[float, float], nominal_px: tuple[float, float], refined: Refined | None = None
) -> bool:
    """Tell whether pixels show the same as themselves, although the stage moved: dust or, along a line, stripes."""
    if max(map(abs, displacement_px)) <= AT_REST_PX:
        return max(map(abs, nominal_px)) > LEAST_STEP_PX
    if refined is None:
        return False
    variances, directions = np.linalg.eigh(refined.covariance_px2[::-1, ::-1])  # x first
    across = [abs(float(directions[:, 0] @ each)) for each in (displacement_px, nominal_px)]
    return bool(variances[1] > RIDGE_VARIANCE_PX2) and across[0] <= AT_REST_PX and across[1] > LEAST_STEP_PX


def _strip(frame: NDArray[Any], window: tuple[slice, slice], coarse: int, pattern: FixedPattern | None) -> NDArray[Any]:
    """Cut a window (y, x) in pixels of `coarse` x `coarse` out of a frame, without the detector's pattern."""
    fine = (
        slice(coarse * window[0].start, coarse * window[0].stop),
        slice(coarse * window[1].start, coarse * window[1].stop),
    )
    part = frame[fine] if pattern is None else pattern.removed(frame[fine], fine)
    if coarse == 1:
        return part
    shape = part.shape[1] // coarse, part.shape[0] // coarse
    return np.asarray(cv2.resize(part.astype(np.float32), shape, interpolation=cv2.INTER_AREA))


def _local(shape: tuple[int, int], cut: Windows, coarse: int, shift: Shift, blocks: Blocks) -> LocalShifts:
    """Tell blocks of the overlap by their places in either tile."""
    start = [cut.second[axis].start + max(0, -shift[axis]) for axis in range(2)]
    in_second = coarse * (blocks.centres_px + start) + (coarse - 1) / 2
    displacement = coarse * (blocks.shifts_px + cut.origin_px + shift)
    half = (np.array(shape) - 1) / 2
    places = [at[:, axis] / half[axis] - 1 for at in (in_second + displacement, in_second) for axis in (1, 0)]
    dy, dx = displacement.T
    sure = blocks.information / coarse**2
    columns = *places, dx, dy, sure[:, 1, 1], sure[:, 0, 1], sure[:, 0, 0]
    return LocalShifts(np.stack(columns, -1))


def _limits(cut: Windows, centre_px: tuple[float, float], reach: int) -> tuple[Shift, Shift]:
    """Least and greatest shift (y, x) that keep the displacement within the reach and the strips on each other."""
    low, high = [], []
    for axis, nominal in enumerate(centre_px):
        most = cut.first[axis].stop - cut.first[axis].start - LEAST_STRIP_PX
        centre = round(nominal) - cut.origin_px[axis]
        low.append(max(-most, centre - reach))
        high.append(min(most, centre + reach))
    return (low[0], low[1]), (high[0], high[1])


def _significant(pair: StripPair, best: Candidate, refined: Refined) -> bool:
    """Tell whether unrelated strips of the same texture would hardly match as well."""
    if refined.ncc <= LEAST_NCC:
        return False
    match, least = fisher(refined.ncc), LEAST_SIGNIFICANCE
    if pair.signal_to_noise > CLEAN and max(refined.ncc, best.ncc) < POOR_NCC:  # of a narrow overlap, shading is left
        least *= DOUBTFUL
    if match > CLEARLY * least * pair.rough_deviation(best.shift_px):
        return True
    return match > least * pair.chance_deviation(best.shift_px)


def _unique(pair: StripPair, best: Candidate, refined: Refined, others: list[Candidate]) -> bool:
    """Tell whether no other shift matches about as well, except along a direction known to be undetermined."""
    values, vectors = np.linalg.eigh(refined.covariance_px2)
    across, ridge = vectors[:, 0], values[1] > RIDGE_VARIANCE_PX2
    # a ridge fills the list of peaks with its own length: look across it for the next line
    rivals = [*others, *(pair.rivals_along(best, across) if ridge else [])]
    for rival in sorted(rivals, key=lambda candidate: -candidate.ncc):
        offset = np.subtract(rival.shift_px, best.shift_px)
        if np.abs(offset).max() <= SAME_PEAK_PX or (ridge and abs(float(across @ offset)) <= RIDGE_PX):
            continue
        beaten = (1.0 - LEAST_LEAD) * fisher(refined.ncc, MOST_NCC)
        if fisher(rival.ncc / LEAST_LOSS, MOST_NCC) <= beaten or fisher(pair.most(rival), MOST_NCC) <= beaten:
            return True
        peak = pair.refined(rival.shift_px) or _climbed(pair, rival, best)
        most = MOST_NCC if peak else ALL_BUT_ONE  # the shoulder of the winner's own peak is no peak
        rivals_ncc = max(rival.ncc, peak.ncc if peak else 0.0)  # at whole pixels the winner would be flattered
        if fisher(rivals_ncc, most) > (1.0 - LEAST_LEAD) * fisher(refined.ncc, most):
            return False
    return True


def _climbed(pair: StripPair, rival: Candidate, best: Candidate) -> Refined | None:
    """Refine a rival at the top of its slope, unless that is the winner's."""
    top = pair.climbed(rival)
    if np.abs(np.subtract(top.shift_px, best.shift_px)).max() <= SAME_PEAK_PX:
        return None
    return pair.refined(top.shift_px)


def fisher(ncc: float, most: float = ALL_BUT_ONE) -> float:
    """Fisher's z, in which correlations of any size scatter alike."""
    return math.atanh(min(max(ncc, 0.0), most))
