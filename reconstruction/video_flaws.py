"""What is wrong with a picture of a video: black, repeated, torn, doubled, blurred."""

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.robust_solve import MAD_TO_SIGMA
from reconstruction.sharpness import sharpness_part
from reconstruction.strip_pair import overlap
from reconstruction.video_match import BLOCKS, Match
from reconstruction.video_view import View

Flaw = Literal["black", "repeated", "torn", "doubled", "blurred", "unlike", "unmatched", "refresh line"]

BLACK_PART = 0.15  # of the usual mean, and half of the usual contrast
SAME_PART = 0.02  # of the contrast; the noise of any detector is more, a codec that repeats a picture changes less
TORN_PART = 0.2  # of the NCC that its lines had in the picture before, at least, by which it falls
LEAST_KNOWN = 0.15  # NCC of lines that show anything
SURE = 6.0  # standard deviations of what such an NCC scatters by from picture to picture
LEAST_SCATTER = 0.01
NEWS = 0.1  # how much of it a picture says
UNLIKE_PART = 0.9  # of the NCC of the picture before; two pictures in one have 0.7
SECOND_PART = 0.6  # of the first peak: the other picture of a doubled one
NEW_PEAK = 0.15  # by which the second peak rises over that of the picture before
LEAST_SHARPNESS = 0.75  # of the reference, in what both show
LEAST_ADVANTAGE = 1.15
"""Of the reference, in the frequencies that the blurred one still has: a picture that only has more noise, or was
packed with less loss, as the first of a video often is, has none."""
WINDOW_PX = 256  # side of what is looked at for sharpness
FORGETTING = 0.9  # of what lines are expected to have, from picture to picture


def is_black(view: View, usual: View) -> bool:
    """Tell whether the beam or the signal was off; a featureless part of a specimen is not black."""
    return view.mean < BLACK_PART * usual.mean and view.sd < 0.5 * usual.sd


def is_repeated(view: View, before: View) -> bool:
    """Tell whether the picture before came once more."""
    difference = float(cv2.norm(view.detail, before.detail, cv2.NORM_L2)) / math.sqrt(view.detail.size)
    return difference <= SAME_PART * float(before.detail.std())


def is_blurred(view: View, reference: View, match: Match, shrink: int) -> bool:
    """Tell whether a picture is surely less sharp than the reference in what both show."""
    one, other = (_middle(part) for part in _shared(reference.picture.pixels, view.picture.pixels, match, shrink))
    part, most = sharpness_part(other, one)
    if not (math.isfinite(most) and (part + most) / 2 < LEAST_SHARPNESS):
        return False
    return sharpness_part(one, other)[0] > LEAST_ADVANTAGE


class Likeness:
    """What pictures had in common with the reference so far, to be compared with the next one."""

    def __init__(self, before: "Likeness | None" = None) -> None:
        """Begin with what the reference before this one had; it is doubted as soon as it speaks against a picture."""
        self._blocks: NDArray[np.float64]
        self._ncc: float
        self._second: float
        self._scatter: float = LEAST_SCATTER if before is None else before._scatter
        self._is_inherited = before is not None
        if before is None:
            self._forget()
        else:
            self._blocks, self._ncc, self._second = before._blocks, before._ncc, before._second

    def flaw(self, match: Match) -> Flaw | None:
        """Judge a picture by its match; `unlike`: less like the reference than the one before, and no telling why."""
        if match.by_way:
            return self._flaw_by_way(match)
        drop = self._blocks - match.blocks
        with np.errstate(invalid="ignore"):
            known = self._blocks > LEAST_KNOWN
            low = known & (drop > np.maximum(TORN_PART * self._blocks, SURE * self._scatter))
            usual = known & (drop < np.maximum(0.5 * TORN_PART * self._blocks, 0.5 * SURE * self._scatter))
        if low.any() and usual.any():
            return self._doubted("torn")
        rises = match.second > SECOND_PART * match.ncc and match.second > self._second + NEW_PEAK
        if match.ncc < UNLIKE_PART * self._ncc and rises:
            return self._doubted("doubled")
        return self._unlike(match)

    def _flaw_by_way(self, match: Match) -> Flaw | None:
        """Judge one that was matched with a picture in between: what its lines should have is not known."""
        blocks = match.blocks[np.isfinite(match.blocks)]
        if len(blocks) and blocks.min() < (1 - 2 * TORN_PART) * np.median(blocks):
            return "torn"
        return self._unlike(match)

    def _unlike(self, match: Match) -> Flaw | None:
        if not match.ncc < UNLIKE_PART * self._ncc:
            return None
        self._ncc *= FORGETTING  # it may be the specimen after all
        return "unlike"

    def note(self, match: Match) -> None:
        """Take in a good picture."""
        if match.by_way:
            return
        scatter = np.abs(match.blocks - self._blocks)
        if not self._is_inherited and np.isfinite(scatter).any():
            self._scatter += NEWS * (MAD_TO_SIGMA * float(np.nanmedian(scatter)) - self._scatter)
            self._scatter = max(self._scatter, LEAST_SCATTER)
        self._blocks = match.blocks if self._is_inherited else np.fmax(match.blocks, FORGETTING * self._blocks)
        self._ncc, self._second = match.ncc, match.second
        self._is_inherited = False

    def _doubted(self, flaw: Flaw) -> Flaw:
        """Believe the reference before only once: here the specimen may look different."""
        if self._is_inherited:
            self._forget()
        return flaw

    def _forget(self) -> None:
        self._blocks = np.full(BLOCKS, np.nan)
        self._ncc = self._second = math.nan
        self._is_inherited = False


def _shared(first: NDArray[Any], second: NDArray[Any], match: Match, shrink: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut what both show, at full size."""
    return overlap(first, second, (round(match.at[0] * shrink), round(match.at[1] * shrink)))


def _middle(part: NDArray[Any]) -> NDArray[Any]:
    rows, columns = part.shape
    width, height = min(columns, WINDOW_PX), min(rows, WINDOW_PX)
    top, left = (rows - height) // 2, (columns - width) // 2
    return part[top : top + height, left : left + width]
