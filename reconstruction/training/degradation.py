"""Low-definition images out of high-definition ones alone: blur, resize and noise, twice, each sometimes skipped.

x = (y * k) down + n, applied twice (CEMI paper, equations 1 and 2, and its Methods for the noise); blur and resizing as
in Real-ESRGAN (Wang et al. 2021), which it follows. Without JPEG: electron microscopes do not write it.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

Image = NDArray[np.float32]
Random = np.random.Generator

SKIPPED = 0.2  # of the steps; the paper does not say how many
KERNEL_PX = (7, 9, 11, 13, 15, 17, 19, 21)
SHAPES = ("gaussian", "generalised", "plateau")
SHAPE_SHARES = (0.70, 0.15, 0.15)
ROUND = 0.65  # of the kernels; the others are longer one way
SINC_SHARE = 0.1  # of the kernels: ringing, as sharpening leaves it


@dataclass(frozen=True)
class Pass:
    """Ranges of one pass; noise in grey levels of 255."""

    blur_px: tuple[float, float]
    grow_share: float
    shrink_share: float
    resize: tuple[float, float]
    noise: tuple[float, float]
    poisson: tuple[float, float]


PASSES = (
    Pass((0.2, 3.0), 0.2, 0.7, (0.15, 1.5), (1.0, 30.0), (0.05, 3.0)),
    Pass((0.2, 1.5), 0.3, 0.4, (0.3, 1.2), (1.0, 25.0), (0.05, 2.5)),
)


def degraded(clean: Image, random: Random) -> NDArray[np.uint8]:
    """Degrade an image (y, x) in grey levels 0..255; same shape."""
    image = clean
    for ranges in PASSES:
        if random.random() >= SKIPPED:
            image = _blurred(image, ranges, random)
        if random.random() >= SKIPPED:
            image = _resized(image, ranges, random)
        if random.random() >= SKIPPED:
            image = _noisy(image, ranges, random)
    if image.shape != clean.shape:
        image = _to_shape(image, (clean.shape[0], clean.shape[1]), random)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def kernel(ranges: Pass, random: Random) -> Image:
    """Draw a blur kernel whose sum is 1."""
    side = int(random.choice(KERNEL_PX))
    y, x = np.mgrid[:side, :side] - side // 2
    if random.random() < SINC_SHARE:
        made = _sinc(np.hypot(y, x), random.uniform(math.pi / 5, math.pi))
    else:
        made = _bell(y, x, ranges, random)
    return np.asarray(made / made.sum(), np.float32)


def _bell(y: NDArray[np.int64], x: NDArray[np.int64], ranges: Pass, random: Random) -> NDArray[np.float64]:
    """A Gaussian, or one with longer tails or a flatter top, round or not."""
    wide = random.uniform(*ranges.blur_px)
    narrow = wide if random.random() < ROUND else random.uniform(*ranges.blur_px)
    angle = random.uniform(0, math.pi)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    distance = np.square(along / wide) + np.square(across / narrow)
    shape = random.choice(SHAPES, p=SHAPE_SHARES)
    if shape == "plateau":
        return np.asarray(1 / (1 + distance ** random.uniform(1.0, 2.0)))
    power = random.uniform(0.5, 4.0) if shape == "generalised" else 1.0
    return np.asarray(np.exp(-0.5 * distance**power))


def _sinc(radius: NDArray[np.float64], cut_off: float) -> NDArray[np.float64]:
    """Impulse response of a filter that passes all below `cut_off` (radian per pixel), along and across."""

    safe = np.maximum(radius, 1e-9)
    return np.where(radius == 0, cut_off**2 / (4 * math.pi), cut_off * j1(cut_off * safe) / (2 * math.pi * safe))


def _blurred(image: Image, ranges: Pass, random: Random) -> Image:
    return np.asarray(cv2.filter2D(image, -1, kernel(ranges, random), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _resized(image: Image, ranges: Pass, random: Random) -> Image:
    grown, chance = ranges.grow_share, random.random()
    if chance < grown:
        factor = random.uniform(1.0, ranges.resize[1])
    elif chance < grown + ranges.shrink_share:
        factor = random.uniform(ranges.resize[0], 1.0)
    else:
        return image
    rows, columns = (max(round(side * factor), 8) for side in image.shape)
    return _to_shape(image, (rows, columns), random)


def _to_shape(image: Image, shape: tuple[int, int], random: Random) -> Image:
    how = int(random.choice([cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=how), np.float32)


def _noisy(image: Image, ranges: Pass, random: Random) -> Image:
    """Gaussian noise or, as often, Poisson noise of a photon count of about the number of grey levels."""
    if random.random() < 0.5:
        sigma = np.float32(random.uniform(*ranges.noise))
        return np.asarray(image + sigma * random.standard_normal(image.shape, dtype=np.float32), np.float32)
    inside = np.clip(image, 0, 255) / np.float32(255)
    levels = max(len(np.unique(np.rint(inside * 255))), 2)
    count = np.float32(2 ** math.ceil(math.log2(levels)))
    noise = random.poisson(inside * count).astype(np.float32) / count - inside
    return np.asarray(image + np.float32(255 * random.uniform(*ranges.poisson)) * noise, np.float32)
