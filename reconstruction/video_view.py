"""A picture of a video made ready to be compared: smaller, without shading, without what stands on the screen."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from reconstruction.strip_pair import signal_to_noise
from reconstruction.strips import Image, high_passed, smoothed, tapered
from reconstruction.video_pictures import Picture

LEAST_SIDE_PX = 300  # of a view: enough to register, and four times fewer pixels of the usual 1024 x 768
COARSE = 2  # view pixels in one of the coarse view
CLEAN, NOISY = 4.0, 0.5  # signal to noise of a view
SMOOTHING_PX = {"clean": 0.7, "usual": 1.2, "noisy": 2.0}


@dataclass(frozen=True)
class View:
    """What is compared of a picture: float32, about zero everywhere, `shrink` times smaller."""

    picture: Picture
    detail: Image
    mean: float
    sd: float

    @cached_property
    def coarse(self) -> Image:
        """Half as large again."""
        rows, columns = (side // COARSE * COARSE for side in self.detail.shape)
        half = columns // COARSE, rows // COARSE
        return np.asarray(cv2.resize(self.detail[:rows, :columns], half, interpolation=cv2.INTER_AREA))

    @cached_property
    def correlation_px2(self) -> float:
        """The area over which its pixels say about the same."""
        return correlation_px2(self.detail)


def correlation_px2(detail: Image) -> float:
    """Sum the squared autocorrelation of an image (y, x) about zero: the pixels that say what one says."""
    power = np.square(np.abs(fft.rfft2(tapered(detail))))
    total = float(power.sum(dtype=np.float64))
    squares = float(np.square(power, dtype=np.float64).sum())
    return detail.size * squares / (2 * total**2) if total > 0 else float(detail.size)


class Viewer:
    """Makes views of pictures of one size, all in the same way."""

    def __init__(self, shape: tuple[int, int], overlay: NDArray[np.bool_] | None = None) -> None:
        """Begin with pictures of (rows, columns); `overlay` marks what is no specimen."""
        self.shrink = max(1, min(shape) // LEAST_SIDE_PX)
        self.shape = shape[0] // self.shrink, shape[1] // self.shrink
        self._smoothing_px: float | None = None
        self._overlay: NDArray[np.bool_] | None = None
        if overlay is not None and overlay.any():
            self._overlay = self._shrunk(overlay.astype(np.float32)) > 0

    def view(self, picture: Picture) -> View:
        """Make the view of a picture; how much it is smoothed is decided by the noise of the first one."""
        small = self._shrunk(picture.pixels)
        mean, sd = cv2.meanStdDev(small)
        if self._overlay is not None:
            small = np.where(self._overlay, _filled(small, self._overlay), small)
        detail = high_passed(small)
        if self._smoothing_px is None:
            self._smoothing_px = _smoothing_px(detail)
        return View(picture, smoothed(detail, self._smoothing_px), mean.item(), sd.item())

    def _shrunk(self, pixels: NDArray[Any]) -> Image:
        rows, columns = self.shape
        whole = pixels[: rows * self.shrink, : columns * self.shrink]
        return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _smoothing_px(detail: Image) -> float:
    ratio = signal_to_noise(detail)
    return SMOOTHING_PX["clean" if ratio > CLEAN else "usual" if ratio > NOISY else "noisy"]


def _filled(image: Image, overlay: NDArray[np.bool_]) -> Image:
    """Give what lies around marked pixels, so that nothing of them is left behind the high-pass."""
    weight = (~overlay).astype(np.float32)
    box = (31, 31)
    return np.asarray(cv2.blur(image * weight, box) / np.maximum(cv2.blur(weight, box), np.float32(1e-3)))
