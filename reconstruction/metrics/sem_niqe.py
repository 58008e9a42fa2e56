"""SEM-NIQE: how far an image is from what clean images of microscopes look like, without a truth.

The mathematics of NIQE (Mittal, Soundararajan and Bovik 2013, IEEE SPL 20, 209) with a model of its own, fitted on
clean images of the twin's specimens: not comparable with published NIQE values, which know photographs.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import gamma

from reconstruction.errors import InputError
from reconstruction.metrics.images import Image, as_image, checked_range

BLOCK_PX = 96
SCALES = 2
LEVELS = 255.0  # that the range of grey values is brought to
CONSTANT = 1.0  # grey level that keeps flat fields from being divided by nothing
WINDOW_SIGMA_PX, WINDOW_RADIUS_PX = 7 / 6, 3
SHARP_SHARE = 0.75  # of the sharpest block of an image: only such blocks make the model
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
SHAPES = np.arange(0.2, 10.0, 0.001)
SHAPE_RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
PRISTINE = Path(__file__).with_name("sem_niqe_pristine.json")


@dataclass(frozen=True, eq=False)
class PristineModel:
    """Mean (36,) and covariance (36, 36) of the features of clean blocks, and what they were taken from."""

    mean: Image
    covariance: Image
    source: str


def sem_niqe(image: NDArray[Any], data_range: float, model: PristineModel | None = None) -> float:
    """Compute Mahalanobis' distance between the features of an image (y, x) and those of clean ones; 0..inf, no unit.

    sqrt((m1 - m2)' ((C1 + C2) / 2)^-1 (m1 - m2)), lower is better, of 36 features a block of 96 px: shape and spread of
    the locally normalised grey values and of their products with four neighbours, at full and at half resolution.

    Raises:
        InputError: smaller than a block.
    """
    pristine = model or shipped_model()
    features, _ = _features(image, data_range)
    away = pristine.mean - features.mean(axis=0)
    own = np.cov(features.T) if len(features) > 1 else np.zeros_like(pristine.covariance)
    return float(np.sqrt(max(away @ np.linalg.pinv((pristine.covariance + own) / 2) @ away, 0.0)))


def fit_pristine(images: Iterable[NDArray[Any]], data_range: float, source: str) -> PristineModel:
    """Fit the model on the sharp blocks of clean images, each (y, x).

    Raises:
        InputError: fewer blocks than the 36 features need.
    """
    chosen = []
    for image in images:
        features, sharpness = _features(image, data_range)
        chosen.append(features[sharpness > SHARP_SHARE * sharpness.max()])
    blocks = np.concatenate(chosen) if chosen else np.empty((0, 36))
    if len(blocks) <= blocks.shape[1]:
        raise InputError(f"images: {len(blocks)} sharp blocks of {BLOCK_PX} px, a model needs {blocks.shape[1] + 1}")
    return PristineModel(blocks.mean(axis=0), np.cov(blocks.T), source)


def save_model(model: PristineModel, path: Path) -> None:
    """Write a model as JSON."""
    facts = {"source": model.source, "mean": _rounded(model.mean), "covariance": _rounded(model.covariance)}
    path.write_text(json.dumps(facts, indent=1) + "\n")


def load_model(path: Path) -> PristineModel:
    """Read what `save_model` wrote.

    Raises:
        InputError: absent, or not such a model.
    """
    try:
        facts = json.loads(path.read_text())
        model = PristineModel(np.array(facts["mean"]), np.array(facts["covariance"]), str(facts["source"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a SEM-NIQE model: {error}") from error
    if model.mean.shape != (18 * SCALES,) or model.covariance.shape != (18 * SCALES,) * 2:
        raise InputError(
            f"{path}: mean {model.mean.shape}, covariance {model.covariance.shape}; should have 36 features"
        )
    return model


@cache
def shipped_model() -> PristineModel:
    """The model that comes with the package; how it was made stands in its `source`."""
    return load_model(PRISTINE)


def _features(image: NDArray[Any], data_range: float) -> tuple[Image, Image]:
    """36 features (blocks, 36) and the sharpness (blocks,) of all whole blocks."""
    values = as_image(image) * (LEVELS / checked_range(data_range))
    rows, columns = (size // BLOCK_PX for size in values.shape)
    if not rows or not columns:
        raise InputError(
            f"image: {values.shape[1]} x {values.shape[0]} px, SEM-NIQE needs {BLOCK_PX} px along each axis"
        )
    values = values[: rows * BLOCK_PX, : columns * BLOCK_PX]
    found, sharpness = [], np.empty(0)
    for scale in range(SCALES):
        side = BLOCK_PX >> scale
        normalised, deviation = _normalised(values)
        if not scale:
            sharpness = _blocks(deviation, side).mean(axis=(1, 2))
        found.append([_of_block(block) for block in _blocks(normalised, side)])
        values = (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) / 4
    return np.concatenate([np.array(part) for part in found], axis=1), sharpness


def _normalised(image: Image) -> tuple[Image, Image]:
    """Grey values less their local mean over their local deviation, and that deviation."""
    mean = _around(image)
    deviation = np.sqrt(np.abs(_around(image * image) - mean * mean))
    return (image - mean) / (deviation + CONSTANT), deviation


def _around(image: Image) -> Image:
    return np.asarray(ndimage.gaussian_filter(image, WINDOW_SIGMA_PX, radius=WINDOW_RADIUS_PX, mode="nearest"))


def _blocks(image: Image, side: int) -> Image:
    rows, columns = image.shape[0] // side, image.shape[1] // side
    parts = image.reshape(rows, side, columns, side).swapaxes(1, 2)
    return np.asarray(parts.reshape(rows * columns, side, side))


def _of_block(block: Image) -> list[float]:
    """18 features: shape and spread of the values, then shape, mean and both spreads of four products."""
    shape, left, right = generalised_gaussian(block)
    found = [shape, (left + right) / 2]
    for shift in NEIGHBOURS:
        shape, left, right = generalised_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
        mean = (right - left) * scale * gamma(2 / shape) / gamma(1 / shape)
        found += [shape, float(mean), float(left * scale), float(right * scale)]
    return found


def generalised_gaussian(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Fit shape and the deviations left and right of 0 of an asymmetric generalised Gaussian, by its moments.

    Source: Lasmar, Stitou and Berthoumieu 2009, ICIP, 2281. A constant has a shape of 10 and no deviations.
    """
    negative, positive = values[values < 0], values[values > 0]
    left = float(np.sqrt(np.square(negative).mean())) if negative.size else 0.0
    right = float(np.sqrt(np.square(positive).mean())) if positive.size else 0.0
    square = float(np.square(values).mean())
    if square <= 0 or left <= 0 or right <= 0:
        return float(SHAPES[-1]), left, right
    ratio, balance = float(np.abs(values).mean()) ** 2 / square, left / right
    wanted = ratio * (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    return float(SHAPES[int(np.square(SHAPE_RATIOS - wanted).argmin())]), left, right


def _rounded(values: Image) -> Any:
    return np.vectorize(lambda value: float(f"{value:.6g}"))(values).tolist()
