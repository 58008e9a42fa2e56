"""Seeded specimens photographed as overlapping tiles whose true places are known below a pixel."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.distortion import Distortion
from reconstruction.registration import Edge
from reconstruction.sources import Tile
from reconstruction.strips import Image

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"  # real recordings, beside the repository
FULL_SCALE = 60000.0


def texture(kind: str, shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Make a specimen (y, x) in 0..1: `natural` (1/f), `grains`, `lamellae`, `lines` (periodic), `faint`, `blank`."""
    rng = np.random.default_rng(seed)
    if kind == "blank":
        return np.full(shape, 0.5, np.float32)
    if kind == "lines":
        x = np.arange(shape[1], dtype=np.float32)
        return np.broadcast_to(0.5 + 0.3 * np.tanh(3 * np.sin(2 * np.pi * x / 14.3 + 0.4)), shape).astype(np.float32)
    if kind == "lamellae":
        wavy = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 18)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        bands = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 17 + 60 * wavy)
        return np.clip(0.5 + 0.3 * cv2.GaussianBlur(np.sign(bands), (0, 0), 1.2), 0, 1).astype(np.float32)
    if kind == "grains":
        coarse = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 5)
        return (0.5 + 0.3 * cv2.GaussianBlur(np.sign(coarse), (0, 0), 1.2)).astype(np.float32)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    radius = np.maximum(np.hypot(fy, fx), 1 / max(shape))
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * np.exp(-((radius / 0.25) ** 2)) / radius
    image = np.fft.irfft2(spectrum, shape)
    contrast = 0.03 if kind == "faint" else 0.16
    return np.clip(0.5 + contrast * image / image.std(), 0, 1).astype(np.float32)


@dataclass
class Scan:
    """Tiles of a specimen, a `FrameSource`; hands out `batch` tiles at a time and remembers its edges."""

    frames: list[NDArray[np.uint16]]
    tiles: list[Tile]
    truth_px: NDArray[np.float64]  # (tiles, 2) x, y
    pixel_size_um: float | None = None
    batch: int = 4
    edges: list[Edge] = field(default_factory=list)
    dtype = np.dtype(np.uint16)

    @property
    def tile_shape(self) -> tuple[int, int]:
        return self.frames[0].shape[0], self.frames[0].shape[1]

    def planned(self) -> list[Tile]:
        return list(self.tiles)

    def follow(self) -> Iterator[list[Tile]]:
        for start in range(0, len(self.tiles), self.batch):
            yield self.tiles[start : start + self.batch]
            yield []

    def pixels(self, tile: Tile) -> NDArray[np.uint16]:
        return self.frames[tile.index]

    def known_edges(self) -> list[Edge]:
        return list(self.edges)

    def report_edge(self, edge: Edge) -> None:
        self.edges.append(edge)


def scan(
    kind: str = "natural",
    overlap: float = 0.1,
    size: int = 512,
    rows: int = 4,
    columns: int = 5,
    seed: int = 1,
    electrons: float = 600.0,
    error_px: float = 3.0,
    backlash_px: float = 6.0,
    blank_corner: bool = False,
    distortion: Distortion | None = None,
) -> Scan:
    """Photograph a specimen on a grid: `error_px` rms radial a tile, `backlash_px` in x on odd rows, shot noise."""
    rng = np.random.default_rng(seed)
    step = round(size * (1 - overlap))
    margin = 40 + round(3 * error_px)  # more than a stage is ever off
    shape = (step * (rows - 1) + size + 2 * margin, step * (columns - 1) + size + 2 * margin)
    specimen = texture(kind, shape, seed)
    if blank_corner:
        specimen[-(size + margin + 30) :, -(size + margin + 30) :] = 0.5
    frames, tiles, truth = [], [], []
    for row in range(rows):
        for column in range(columns):
            nominal = np.array([column * step, row * step], float)
            place = nominal + rng.normal(0, error_px / np.sqrt(2), 2) + np.array([backlash_px * (row % 2), 0.0])
            corner = place + margin
            start = np.floor(corner).astype(int) - 8
            part = specimen[max(start[1], 0) : start[1] + size + 17, max(start[0], 0) : start[0] + size + 17]
            offset = corner - np.maximum(start, 0)
            clean = shifted(part, offset, size) if distortion is None else bent(part, offset, size, distortion)
            counts = rng.poisson(np.clip(clean, 0, 1) * electrons) / electrons
            frames.append(np.clip(np.rint(counts * FULL_SCALE / 1.3), 0, 65535).astype(np.uint16))
            tiles.append(Tile(len(tiles), f"r{row}c{column}.tif", *nominal, anchor=row % 2 == 0))
            truth.append(place)
    return Scan(frames, tiles, np.array(truth))


def shifted(part: NDArray[np.float32], offset: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Sample `size` x `size` px from a position (x, y) on, with a windowed sinc of 15 taps."""
    whole = np.floor(offset).astype(int)
    taps = np.arange(-7, 8)
    kernels = []
    for fraction in offset - whole:
        weights = np.sinc(taps - fraction) * np.cos(np.pi * (taps - fraction) / 17) ** 2
        kernels.append((weights / weights.sum()).astype(np.float32))
    moved = cv2.sepFilter2D(part, -1, *kernels, borderType=cv2.BORDER_REPLICATE)
    return moved[whole[1] : whole[1] + size, whole[0] : whole[0] + size]


def bent(part: NDArray[np.float32], offset: NDArray[np.float64], size: int, distortion: Distortion) -> Image:
    """Sample `size` x `size` px from a position (x, y) on, each further on by the distortion."""
    by_x, by_y = distortion.displacement_px((size, size))
    x, y = np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32)[:, None]
    maps = by_x + x + np.float32(offset[0]), by_y + y + np.float32(offset[1])
    return np.asarray(cv2.remap(part, *maps, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE), np.float32)


def errors_px(found_px: NDArray[np.float64], truth_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each tile from its true place after the median translation is taken out."""
    away = np.asarray(found_px) - np.asarray(truth_px)
    return np.hypot(*(away - np.median(away, axis=0)).T)
