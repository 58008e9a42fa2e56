"""What can be wrong with a frame, as far as it and the one before it tell."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.registration import register
from reconstruction.sharpness import sharpness_part
from reconstruction.strips import windows

Pixels = NDArray[np.uint16]

KINDS = ("unsharp", "flat", "saturated", "black", "frozen")
"""From the one that is easiest to live with to the one that shows nothing of the tile."""
FULL_SCALES_DN = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
NEAR_FULL_SCALE = 0.95
"""Of it: the converter's last number, or the full well, which cameras put a little below."""
PILED_UP = 0.001
"""Of the brightest value: light this strong scatters by six times as much unless it is cut off."""
ROWS_LOOKED_AT = 4
"""Every fourth row tells a part of the pixels well enough."""
BLACK = 0.25
"""Of the mean and of the spread of the tiles before, both: light has shot noise, so a dark specimen is not black."""


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong: of two of a kind the greater `amount` is the worse."""

    kind: str
    amount: float
    reason: str

    @property
    def badness(self) -> tuple[int, float]:
        """Grows with how little can be done with the frame."""
        return KINDS.index(self.kind), self.amount


def saturated_part(pixels: Pixels) -> float:
    """Which part of the pixels is piled up at the end of the camera's range."""
    looked_at = pixels[::ROWS_LOOKED_AT]
    brightest = int(looked_at.max())
    if not any(NEAR_FULL_SCALE * full <= brightest <= full for full in FULL_SCALES_DN):
        return 0.0
    return float(np.mean(looked_at >= brightest * (1 - PILED_UP)))


def saturated(pixels: Pixels, most: float) -> Flaw | None:
    """Too many pixels at the end of the range."""
    part = saturated_part(pixels)
    if part <= most:
        return None
    return Flaw("saturated", part, f"saturated: {part:.1%} of the pixels, at most {most:.1%} may be")


def mean_and_spread(pixels: Pixels) -> tuple[float, float]:
    """Mean and standard deviation, grey values."""
    mean, spread = cv2.meanStdDev(pixels)
    return float(mean.item()), float(spread.item())


def black(mean: float, spread: float, usual_mean: float, usual_spread: float) -> Flaw | None:
    """Neither light nor its noise."""
    if mean >= BLACK * usual_mean or spread >= BLACK * usual_spread:
        return None
    reason = (
        f"black: a mean of {mean:.0f} and a spread of {spread:.0f}, usual are {usual_mean:.0f} and {usual_spread:.0f}"
    )
    return Flaw("black", -mean, reason)


def frozen(pixels: Pixels, before: Pixels) -> Flaw | None:
    """The frame before once more, to the last bit."""
    if not np.array_equal(pixels[0], before[0]) or not np.array_equal(pixels, before):
        return None
    return Flaw("frozen", 0.0, "frozen: every pixel is that of the frame before")


def flat(mean: float, spread: float, least: float) -> Flaw | None:
    """Less contrast than the plan asks for."""
    contrast = spread / mean if mean > 0 else 0.0
    if contrast >= least:
        return None
    return Flaw("flat", -contrast, f"flat: a contrast of {contrast:.3g}, at least {least:.3g} is wanted")


def unsharp(pixels: Pixels, before: Pixels, step_px: tuple[float, float], least: float) -> Flaw | None:
    """Much less sharp than the frame before where both show the same; what does not match is not judged.

    Args:
        step_px: from the place of the frame before to that of this one, (x, y).
        least: the part of its sharpness that will do.
    """
    if _lost_sharpness(pixels, before, step_px, least) is None:
        return None
    match = register(0, 1, before, pixels, step_px)  # what is soft or faint seldom comes this far, so it costs little
    part = _lost_sharpness(pixels, before, (match.dx_px, match.dy_px), least)
    if not match.accepted or part is None:
        return None
    reason = f"unsharp: {part:.2f} of the sharpness of the tile before, where both show the same; at least {least:.2f}"
    return Flaw("unsharp", -part, reason)


def _lost_sharpness(pixels: Pixels, before: Pixels, step_px: tuple[float, float], least: float) -> float | None:
    """Sharpness of a frame by that of the one before, in their overlap; None where it may be `least` for all we see."""
    cut = windows((pixels.shape[0], pixels.shape[1]), (step_px[1], step_px[0]), reach_px=0)
    if cut is None:
        return None
    part, most = sharpness_part(pixels[cut.second], before[cut.first])
    return part if most < least else None
