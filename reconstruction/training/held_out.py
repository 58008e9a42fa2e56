"""What a trained network does to frames that it never saw, beside what needs no training."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.analysis.phase_fraction import bradley_dark, fraction_error_pp, otsu_dark
from reconstruction.baselines import FAMILIES, best_of
from reconstruction.metrics.images import range_of_bits
from reconstruction.metrics.psnr import psnr_db
from reconstruction.networks.network import Network
from reconstruction.training.data import Outside, opened
from reconstruction.training.examples import CleanImages, PairedImages
from reconstruction.training.recipe import Recipe, TwinData, WithTruth
from reconstruction.training.uncertainty import calibrate, coverage

SIDE_PX = 256  # of a frame that is cut out of a larger image
TWO_PHASES = ("alloy",)  # of the twin's specimens

Image = NDArray[np.float32]
Frame = tuple[NDArray[Any], Image]
Denoiser = Callable[[NDArray[Any]], NDArray[Any]]


def held_out(
    recipe: Recipe, folder: Path, outside: Outside, network: Callable[[NDArray[Any]], NDArray[Any]]
) -> list[dict[str, Any]]:
    """Score a network and the classical denoisers on each entry of `held_out` of a recipe; a row for each.

    A row holds `data`, `denoiser`, `psnr_db` (mean over frames), `gain_db` over the frames as they came, and where
    there are two phases `dark_share_error_bradley_pp` and `.._otsu_pp`, the mean error of the share of the darker one.
    Classical ones are tuned on the very frames that they are scored on, in their favour.
    """
    rows: list[dict[str, Any]] = []
    for number, (data, frames) in enumerate(_entries(recipe, folder, outside, [])):
        two_phases = isinstance(data, TwinData) and all(one.name in TWO_PHASES for one in data.specimens)
        denoisers = {"none": lambda frame: frame, recipe.name: network, **tuned(frames)}
        name = f"{data.kind} {number + 1}"
        rows += [{"data": name, "denoiser": key, **_scores(frames, denoisers[key], two_phases)} for key in denoisers]
    return rows


def calibrated(recipe: Recipe, folder: Path, outside: Outside, network: Network) -> dict[str, float]:
    """Calibrate the deviations that a network claims on held-out frames; how they fit others of the same data."""
    first, others = (
        [frame for _, frames in _entries(recipe, folder, outside, salt) for frame in frames] for salt in ([1], [])
    )
    return {"deviations_scaled_by": calibrate(network, first), **coverage(network, others)}


def _entries(
    recipe: Recipe, folder: Path, outside: Outside, salt: Sequence[int]
) -> Iterator[tuple[WithTruth, Sequence[Frame]]]:
    """The held-out data and frames of them; others with another salt, where they are made up."""
    for number, data in enumerate(recipe.held_out):
        examples = opened(data, folder, outside, min(SIDE_PX, recipe.crop_px))
        yield data, frames_of(examples, recipe.held_out_images, [recipe.seed, number, *salt])


def tuned(frames: Sequence[Frame]) -> dict[str, Denoiser]:
    """The best of each family of classical denoisers on these frames."""

    data_range = _range(frames)

    def score(truth: NDArray[Any], made: NDArray[Any]) -> float:
        return psnr_db(truth, made, data_range)

    return {name: best_of(family, frames, score).restore for name, family in FAMILIES.items()}


def _range(frames: Sequence[Frame]) -> float:
    return range_of_bits(frames[0][0].dtype, max(float(truth.max()) for _, truth in frames))


def frames_of(examples: Any, count: int, seed: Sequence[int]) -> list[Frame]:
    """Frames (y, x) and their truths, which training examples of the same data are made from.

    Raises:
        TypeError: data without a truth.
    """
    if isinstance(examples, PairedImages):
        return [(pair.low, pair.high) for pair in examples.pairs]
    if isinstance(examples, CleanImages):
        return [examples.frame(SIDE_PX, np.random.default_rng([*seed, index])) for index in range(count)]
    raise TypeError(f"{type(examples).__name__} have no truth")


def _scores(frames: Sequence[Frame], denoiser: Denoiser, two_phases: bool) -> dict[str, float]:
    made = [denoiser(frame) for frame, _ in frames]
    both = [(one, frame, truth) for one, (frame, truth) in zip(made, frames, strict=True)]
    data_range = _range(frames)
    psnr = [psnr_db(truth, one, data_range) for one, _, truth in both]
    before = [psnr_db(truth, frame, data_range) for _, frame, truth in both]
    scores = {"psnr_db": float(np.mean(psnr)), "gain_db": float(np.mean(psnr) - np.mean(before))}
    if two_phases:
        for name, dark in (("bradley", bradley_dark), ("otsu", otsu_dark)):
            errors = [fraction_error_pp(dark(truth), dark(one)) for one, _, truth in both]
            scores[f"dark_share_error_{name}_pp"] = float(np.mean(errors))
    return scores
