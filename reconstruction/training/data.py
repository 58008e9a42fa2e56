"""From the data of a recipe to examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.fei_tiff import is_fei, read_fei
from reconstruction.metrics.images import range_of_bits
from reconstruction.sources import FrameSource
from reconstruction.tile_files import read_grey
from reconstruction.training.degradation import degraded
from reconstruction.training.examples import CleanImages, Examples, Mixture, NoisyImages, NoisyPairs, PairedImages
from reconstruction.training.low_definition import Recording, any_recording, record
from reconstruction.training.overlaps import overlaps
from reconstruction.training.pairs import registered
from reconstruction.training.paths import paths_of
from reconstruction.training.recipe import (
    Data,
    DrawnData,
    FilesData,
    NoisyData,
    OverlapsData,
    PairsData,
    Quanta,
    Recipe,
    Specimen,
    TwinData,
)
from reconstruction.training.scenes import scene

Image = NDArray[np.float32]
Random = np.random.Generator

SOFT_PX = (0.4, 1.2)  # standard deviation of what a microscope does to a specimen


class Outside:
    """What this package cannot fetch itself: specimens of the twin, and runs."""

    def __init__(self, specimen: Callable[[Specimen], Image], frames: Callable[[Path], FrameSource]) -> None:
        self.specimen = specimen
        self.frames = frames


def examples_of(recipe: Recipe, folder: Path, outside: Outside) -> Examples:
    """Open all data that a recipe trains on.

    Raises:
        InputError: a file is absent or unfit, or images are smaller than the crops.
    """
    kinds = [opened(data, folder, outside, recipe.crop_px) for data in recipe.data]
    return Mixture(kinds, [data.share for data in recipe.data])


def opened(data: Data, folder: Path, outside: Outside, crop_px: int) -> Examples:
    """Open one kind of data; paths are meant from `folder`. Raises as `examples_of`."""
    match data:
        case DrawnData():
            scenes = [scene(data.side_px, np.random.default_rng([data.seed, i])) for i in range(data.count)]
            return CleanImages(_large(scenes, data.kind, crop_px), _recorded(data))
        case TwinData():
            specimens = [_softened(outside.specimen(one), one.seed) for one in data.specimens]
            return CleanImages(_large(specimens, data.kind, crop_px), _recorded(data))
        case FilesData():
            images = _in_full_range(_frames(data.files, folder), data)
            worsened = _degraded if data.by == "degradation" else _recorded(Quanta())
            return CleanImages(_large(images, data.files, crop_px), worsened)
        case PairsData():
            return PairedImages(_pairs(data, folder, crop_px))
        case OverlapsData():
            looks = list(overlaps(outside.frames(folder / data.source), crop_px))
            if not looks:
                raise InputError(f"{data.source}: no two tiles overlap by {crop_px} px (crop_px) and were registered")
            return NoisyPairs(looks)
        case NoisyData():
            return NoisyImages(_large(_frames(data.files, folder), data.files, crop_px), data.span_px)


def _in_full_range(frames: list[NDArray[Any]], data: FilesData) -> list[Image]:
    """Scale grey values to 0..1, from as many bits as they have: a camera of 12 bits fills a sixteenth of 16."""
    most = max(float(frame.max()) for frame in frames)
    if any(frame.dtype != frames[0].dtype for frame in frames):
        raise InputError(f"{data.files}: images of 8 and of 16 bit, should be of one depth")
    top = range_of_bits(frames[0].dtype, most)
    if data.bits is not None and frames[0].dtype != np.uint8:
        top = float(2**data.bits - 1)
    if most > top:
        raise InputError(f"{data.files}: bits = {data.bits}, but a grey value is {most:g}, above {top:g}")
    return [np.asarray(frame / np.float32(top), np.float32) for frame in frames]


def _softened(image: Image, seed: int) -> Image:
    """Blur a specimen as a microscope would."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), np.random.default_rng(seed).uniform(*SOFT_PX)), np.float32)


def _recorded(how: Quanta) -> Callable[[Image, Random], tuple[NDArray[Any], Image]]:
    """Record at any dose with any noise, or with so many quanta and shot noise alone."""
    if how.quanta is None:
        return lambda image, random: record(image, any_recording(how.most_quanta, random), random)
    plain = Recording(how.quanta, lag=0.0, read_noise=0.0, line_noise=0.0, blur_px=0.0, black=10.0, white=245.0)
    return lambda image, random: record(image, plain, random)


def _degraded(image: Image, random: Random) -> tuple[NDArray[Any], Image]:
    grey = image * np.float32(255)
    return degraded(grey, random), grey


def _pairs(data: PairsData, folder: Path, crop_px: int) -> list[Any]:
    low, high = (_paths(pattern, folder) for pattern in (data.low, data.high))
    if len(low) != len(high):
        raise InputError(f"{data.low}, {data.high}: {len(low)} and {len(high)} files do not pair")
    both = zip(low, high, strict=True)
    pairs = [registered(read_image(one), read_image(other), str(one)) for one, other in both]
    _large([pair.high for pair in pairs], data.low, crop_px)
    return pairs


def read_image(path: Path) -> NDArray[Any]:
    """Read an image (y, x) of 8 or 16 bit, without the data bar of an FEI microscope. Raises InputError."""
    return read_fei(path).pixels if is_fei(path) else read_grey(path)


def _frames(pattern: str, folder: Path) -> list[NDArray[Any]]:
    return [read_image(path) for path in _paths(pattern, folder)]


def _paths(pattern: str, folder: Path) -> list[Path]:
    found = paths_of(pattern, folder)
    if not found:
        raise InputError(f"{folder / pattern}: no such files")
    return found


def _large(images: list[NDArray[Any]], name: str, crop_px: int) -> list[NDArray[Any]]:
    for image in images:
        if min(image.shape) < crop_px:
            size = f"{image.shape[1]} x {image.shape[0]}"
            raise InputError(f"{name}: an image of {size} px is smaller than crop_px = {crop_px}")
    return images
