"""What a restored frame says that the raw one should show: blurred to its point spread, in its grey values.

Blur, gain and offset are fitted to the frame, but only as far as most of it asks for them: fitted to all of it, a
single invented particle on a plain field would be explained away by no contrast, or by much blur.
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

BLURS_PX = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # standard deviations, tried from the sharpest on
GAINS = (0.5, 2.0)  # of contrast, at most
BLOCK_PX = 32
TRIMMED = 0.25  # of the blocks: those that gain most by the fit have no say in it
FITTED_PX = 1024  # of the middle, along each axis: the point spread is the same elsewhere
LEAST_SHARED = 5.0  # errors of a gain, above nothing: with less, frame and restored share no structure to fit to
GAIN_ERRORS = 3.0  # by which a gain may be beyond what is allowed
CONVINCING = 30.0  # by how much a fit has to explain more, in squares of the noise: chance explains a few
ROUNDING = 0.5  # grey values, by which a plain area may be off; a fit to that would be one to nothing

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """The frame is (`gain` * restored + `offset`), blurred by `blur_px`."""

    blur_px: float
    gain: float
    offset: float


def expected(frame: NDArray[Any], restored: NDArray[Any], noise_sd: float) -> tuple[Image, Fit]:
    """Give what a frame (y, x) should be without noise, if its restored self is true; and how that was fitted.

    Args:
        restored: the frame, or a whole number of times as many pixels along each axis.
        noise_sd: of the frame, in grey values, about.
    """
    made = restored.astype(np.float32)
    if made.shape != frame.shape:
        size = frame.shape[1], frame.shape[0]
        made = np.asarray(cv2.resize(made, size, interpolation=cv2.INTER_AREA), np.float32)
    fit = _fit(_middle(frame.astype(np.float32)), _middle(made), noise_sd)
    return fit_to(made, fit), fit


def fit_to(made: Image, fit: Fit) -> Image:
    """Blur an image (y, x) and bring it to the brightness of its frame."""
    return _blurred(made, fit.blur_px) * np.float32(fit.gain) + np.float32(fit.offset)


def _fit(frame: Image, made: Image, noise_sd: float) -> Fit:
    """Find the least blur that explains the most."""
    level = float(frame.mean())
    wanted = (frame - np.float32(level)) / np.float32(noise_sd)
    given = (made - np.float32(level)) / np.float32(noise_sd)
    offset = float(np.median(_blocks(wanted - given)))
    plain = _blocks(np.square(wanted - given - np.float32(offset)))
    best, most = Fit(0.0, 1.0, offset * noise_sd), CONVINCING + frame.size * (ROUNDING / noise_sd) ** 2
    for blur_px in BLURS_PX:
        gain, shift, explained = _line(wanted, _blurred(given, blur_px), plain)
        if explained <= most:
            if blur_px > 0 and explained:
                break
            continue  # what shares nothing while sharp may share much once blurred
        most = explained + CONVINCING
        best = Fit(blur_px, gain, shift * noise_sd + level * (1 - gain))
    return best


def _line(wanted: Image, given: Image, plain: NDArray[np.float64]) -> tuple[float, float, float]:
    """Fit gain and offset in the blocks that gain least; and how much more than `plain` that explains of them.

    Nothing, where they share too little structure to tell.
    """
    x, y, xx, xy, yy = map(_blocks, (given, wanted, given * given, given * wanted, wanted * wanted))
    use = np.ones(x.shape, bool)
    gain = shift = explained = 0.0
    shared = True
    for _ in range(2):
        power = float((xx[use] - x[use].mean() ** 2).sum())
        together = float((xy[use] - x[use].mean() * y[use].mean()).sum())
        gain = float(np.clip(together / power, *GAINS)) if power > 0 else 1.0
        shared = _shared(power * BLOCK_PX**2, together * BLOCK_PX**2)
        shift = float(y[use].mean() - gain * x[use].mean())
        left = yy - 2 * gain * xy - 2 * shift * y + gain**2 * xx + 2 * gain * shift * x + shift**2
        gained = plain - left
        explained = float(gained[use].sum()) * BLOCK_PX**2
        use = gained <= np.quantile(gained, 1 - TRIMMED)
    return gain, shift, explained if shared else 0.0


def _shared(power: float, together: float) -> bool:
    """Whether structure that both show asks for a gain in `GAINS`, within its error: squares of the noise."""
    error = 1 / sqrt(power) if power > 0 else inf
    gain = together / power if power > 0 else 0.0
    low, high = GAINS
    return gain > LEAST_SHARED * error and low - GAIN_ERRORS * error <= gain <= high + GAIN_ERRORS * error


def _blocks(image: Image) -> NDArray[np.float64]:
    """Means over blocks (count,), of the whole image where it is smaller than one."""
    rows, columns = (max(size // BLOCK_PX, 1) for size in image.shape)
    cut = image[: rows * BLOCK_PX, : columns * BLOCK_PX]
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA), np.float64).ravel()


def _blurred(image: Image, sigma_px: float) -> Image:
    if not sigma_px:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _middle(image: Image) -> Image:
    inner = tuple(slice(max((size - FITTED_PX) // 2, 0), (size + FITTED_PX) // 2) for size in image.shape)
    return image[inner]
