"""Drawn scenes, as different as possible: what a denoiser should know is edges and textures, not one specimen."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Random = np.random.Generator

FINER = 2  # shapes are drawn on so much finer a grid, which softens their edges as pixels do


def scene(side_px: int, random: Random) -> Image:
    """Draw a scene (y, x) in 0..1 without noise: shapes, phases, lines or textures, softened, of any contrast."""
    kind = KINDS[int(random.integers(len(KINDS)))]
    image = kind(side_px, random)
    if random.random() < 0.25:
        image = _joined(image, KINDS[int(random.integers(len(KINDS)))](side_px, random), random)
    if random.random() < 0.5:
        image = image + np.float32(random.uniform(0.02, 0.2)) * (texture(side_px, random) - 0.5)
    if random.random() < 0.4:
        image = _with_bright_rims(image, random)
    if random.random() < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.35, 1.6)), np.float32)
    return _toned(image, random)


def leaves(side_px: int, random: Random) -> Image:
    """Shapes of all sizes over each other (dead leaves, Lee, Mumford and Huang 2001)."""
    side = side_px * FINER
    image = np.full((side, side), random.random(), np.float32)
    least, most = random.uniform(1.5, 5.0) * FINER, side * random.uniform(0.1, 0.5)
    count = int(random.integers(150, 500))
    powers = random.random(count)  # radii r with a density of r^-3
    radii = least / np.sqrt(1 - powers * (1 - (least / most) ** 2))
    palette = random.random(int(random.integers(2, 30)))
    for radius in np.sort(radii)[::-1] if random.random() < 0.5 else radii:
        _shape(image, float(radius), float(random.choice(palette)), random)
    return _coarser(image, side_px)


def particles(side_px: int, random: Random) -> Image:
    """Bright grains of a few sizes on a dark support, hardly touching."""
    side = side_px * FINER
    image = np.full((side, side), random.uniform(0.0, 0.3), np.float32)
    taken = np.zeros((side, side), np.uint8)
    radius, least = random.uniform(10, 40) * FINER, random.uniform(1.5, 4.0) * FINER
    glow = random.uniform(0.0, 0.7)
    while radius > least:
        for _ in range(int(min(0.25 * side**2 / radius**2, 250))):
            x, y = (int(value) for value in random.integers(0, side, 2))
            if taken[y, x]:
                continue
            tone = random.uniform(0.6, 1.0) * (1 - glow * math.exp(-radius / 12 / FINER))
            cv2.circle(taken, (x, y), int(2 * radius), 1, -1)
            cv2.circle(image, (x, y), round(radius), tone, -1)
        radius *= random.uniform(0.5, 0.8)
    return _coarser(image, side_px)


def lamellae(side_px: int, random: Random) -> Image:
    """Grains of two-phase lamellae, each with its own direction and spacing, as eutectics have them."""
    labels = _grains(side_px, int(random.integers(1, 9)), random)
    count = int(labels.max()) + 1
    spacing_px = random.uniform(2.5, 10.0) * random.uniform(0.8, 1.25, count) * random.choice([1.0, 1.0, 3.0])
    angle = random.uniform(0, 2 * math.pi, count)
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    along = np.cos(angle)[labels] * x + np.sin(angle)[labels] * y
    bent = random.uniform(0.0, 2.5) * (_smooth(side_px, random.uniform(6, 40), random))
    wave = np.sin(2 * math.pi * along / spacing_px[labels] + bent + 6.28 * random.random(count)[labels])
    share = np.clip(0.5 + random.uniform(0.5, 3.0) * (wave + random.uniform(-0.5, 0.5)), 0, 1)
    tone = random.normal(0, 0.05, count)[labels]
    return np.asarray(0.2 + 0.6 * share + tone, np.float32)


def phases(side_px: int, random: Random) -> Image:
    """Two or three phases that grow into each other: level sets of smooth noise."""
    field = _smooth(side_px, random.uniform(1.5, 14.0), random)
    levels = np.sort(random.normal(0, 0.7, int(random.integers(1, 4))))
    tones = random.random(len(levels) + 1)
    return np.asarray(tones[np.digitize(field, levels)], np.float32)


def lines(side_px: int, random: Random) -> Image:
    """Rectilinear layout: lines, pads and vias, with edges that are rough or not."""
    side = side_px * FINER
    image = np.full((side, side), random.uniform(0.1, 0.5), np.float32)
    for _ in range(int(random.integers(3, 30))):
        x, y = (int(value) for value in random.integers(-side // 4, side, 2))
        tone, pitch = random.random(), int(random.integers(5, 40)) * FINER
        width = max(int(pitch * random.uniform(0.25, 0.75)), 2)
        length, repeats = int(random.integers(8, side)), int(random.integers(1, 12))
        for step in range(repeats):
            corner = (x + step * pitch, y)
            other = (corner[0] + width, y + length)
            if random.random() < 0.02:
                continue
            cv2.rectangle(image, corner, other, tone, -1)
        if random.random() < 0.5:
            image = np.ascontiguousarray(image.T)
    return _coarser(_frayed(image, random), side_px)


def texture(side_px: int, random: Random) -> Image:
    """Noise with a power law spectrum, smooth to rough, in 0..1."""
    power = random.uniform(1.5, 3.5)
    y, x = np.fft.fftfreq(side_px)[:, None], np.fft.rfftfreq(side_px)[None, :]
    stretch = random.uniform(0.4, 1.0)
    frequency = np.maximum(np.hypot(stretch * y, x / stretch), 1 / side_px)
    spectrum = np.fft.rfft2(random.standard_normal((side_px, side_px))) * frequency ** (-power / 2)
    field = np.fft.irfft2(spectrum, (side_px, side_px))
    return np.asarray(0.5 + 0.18 * (field - field.mean()) / field.std(), np.float32)


KINDS: tuple[Callable[[int, Random], Image], ...] = (
    leaves,
    particles,
    lamellae,
    phases,
    lines,
    texture,
    leaves,
    lamellae,
)


def _shape(image: Image, radius: float, tone: float, random: Random) -> None:
    """Draw one leaf anywhere: a disc, an ellipse or a polygon, plain or shaded."""
    side = image.shape[0]
    x, y = (int(value) for value in random.integers(0, side, 2))
    kind = random.random()
    if kind < 0.4:
        cv2.circle(image, (x, y), max(round(radius), 1), tone, -1)
    elif kind < 0.65:
        axes = max(round(radius), 1), max(round(radius * random.uniform(0.15, 1.0)), 1)
        cv2.ellipse(image, (x, y), axes, random.uniform(0, 180), 0, 360, tone, -1)
    else:
        angles = np.sort(random.uniform(0, 2 * math.pi, int(random.integers(3, 7))))
        corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], -1)
        cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], tone)


def _grains(side_px: int, count: int, random: Random) -> NDArray[np.int64]:
    """Label each pixel with its nearest seed, 0.."""
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    seeds = random.uniform(0, side_px, (count, 2))
    return np.asarray(np.argmin([(x - left) ** 2 + (y - top) ** 2 for left, top in seeds], axis=0))


def _smooth(side_px: int, sigma_px: float, random: Random) -> Image:
    """Gaussian noise of unit deviation, smooth over `sigma_px`."""
    field = cv2.GaussianBlur(random.standard_normal((side_px, side_px), dtype=np.float32), (0, 0), sigma_px)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _joined(one: Image, other: Image, random: Random) -> Image:
    """Two scenes, divided by a random boundary."""
    mask = _smooth(one.shape[0], random.uniform(8, 60), random) > random.normal(0, 0.6)
    return np.where(mask, one, other)


def _with_bright_rims(image: Image, random: Random) -> Image:
    """Edges that shine as they do in secondary electrons: what stands out of its surroundings gains."""
    around = cv2.GaussianBlur(image, (0, 0), random.uniform(1.0, 6.0))
    return np.asarray(image + np.float32(random.uniform(0.1, 0.6)) * np.abs(image - around), np.float32)


def _frayed(image: Image, random: Random) -> Image:
    """Move every pixel by a smooth field of up to a few pixels."""
    if random.random() < 0.5:
        return image
    side, reach = image.shape[0], random.uniform(0.3, 1.5) * FINER
    y, x = np.mgrid[:side, :side].astype(np.float32)
    sigma = random.uniform(2, 20)
    dx, dy = (np.float32(reach) * _smooth(side, sigma, random) for _ in range(2))
    return np.asarray(cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)


def _coarser(image: Image, side_px: int) -> Image:
    return np.asarray(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA), np.float32)


def _toned(image: Image, random: Random) -> Image:
    """Stretch to the full range, then any gamma, contrast, shading and level."""
    low, high = np.percentile(image, [0.5, 99.5])
    image = np.clip((image - low) / max(high - low, 1e-3), 0, 1.2) ** np.float32(random.uniform(0.6, 1.6))
    if random.random() < 0.3:
        image = image * (1 + np.float32(0.1) * _smooth(image.shape[0], image.shape[0] / 4, random))
    contrast = random.uniform(0.25, 0.95)
    level = random.uniform(0.0, 1 - contrast)
    return np.asarray(np.clip(level + contrast * image, 0, 1), np.float32)
