"""Fast frames of a scene, as microscopes record them: few quanta, a slow amplifier, whole numbers."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Random = np.random.Generator

FEWEST_QUANTA = 4.0  # in a pixel of brightness 1: hardly recognisable


@dataclass(frozen=True)
class Recording:
    """How a frame is recorded; grey levels are those of 8 bits."""

    quanta: float
    """Counted in a pixel of brightness 1."""
    lag: float
    """Of what a pixel sets free, this part is read out in the next ones of its line, by an amplifier with one pole."""
    read_noise: float
    """White, in grey levels."""
    line_noise: float
    """Of whole lines, in grey levels."""
    blur_px: float
    """By which what was recorded was softened afterwards, noise and all, as interpolation does."""
    black: float
    """Grey level of no quanta."""
    white: float
    """Grey level of brightness 1."""


def any_recording(most_quanta: float, random: Random) -> Recording:
    """Choose how: up to so many quanta, down to hardly recognisable; nearly half with noise alike along lines."""
    black = random.uniform(0, 40)
    return Recording(
        quanta=math.exp(random.uniform(math.log(FEWEST_QUANTA), math.log(most_quanta))),
        lag=random.uniform(0.1, 0.55) if random.random() < 0.45 else 0.0,
        read_noise=random.uniform(0.0, 8.0) if random.random() < 0.5 else random.uniform(0.0, 25.0),
        line_noise=random.uniform(0.0, 2.5) if random.random() < 0.35 else 0.0,
        blur_px=random.uniform(0.3, 0.6) if random.random() < 0.15 else 0.0,
        black=black,
        white=random.uniform(max(black + 60, 120), 290),
    )


def record(scene: Image, how: Recording, random: Random) -> tuple[NDArray[np.uint8], Image]:
    """Record a scene (y, x) in 0..1; the frame, and its mean over all noise, in grey levels.

    The mean keeps what is not noise: the blur of a slow amplifier, and black that cannot go below 0.
    """
    contrast = how.white - how.black
    counted = random.poisson(scene * np.float32(how.quanta)).astype(np.float32) / np.float32(how.quanta)
    noisy, clean = (_read_out(image, how) * np.float32(contrast) + np.float32(how.black) for image in (counted, scene))
    noisy = noisy + random.standard_normal(scene.shape, dtype=np.float32) * np.float32(how.read_noise)
    noisy = noisy + random.standard_normal((len(scene), 1), dtype=np.float32) * np.float32(how.line_noise)
    if how.blur_px:
        noisy, clean = (_softened(image, how.blur_px) for image in (noisy, clean))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), np.clip(clean, 0, 255)


def _softened(image: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.float32)


def _read_out(image: Image, how: Recording) -> Image:
    """Spread each pixel over the next ones of its line: the first pole of an amplifier."""
    if not how.lag:
        return image
    later = how.lag ** np.arange(1, 8)
    parts = np.concatenate([[1.0], later]) * (1 - how.lag)
    kernel = np.asarray(parts / parts.sum(), np.float32)[None, ::-1]
    anchor = (kernel.shape[1] - 1, 0)
    return np.asarray(cv2.filter2D(image, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REFLECT_101), np.float32)
