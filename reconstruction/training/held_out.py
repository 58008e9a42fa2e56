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
APART = 2**31  # in a seed, of frames that are not those to be scored: seeds that differ in zeros at their end are one
TWO_PHASES = ("alloy",)  # of the twin's specimens

Image = NDArray[np.float32]
Frame = tuple[NDArray[Any], Image]
Denoiser = Callable[[NDArray[Any]], NDArray[Any]]


class HeldOut:
    """The held-out data of a recipe, opened; before anything is trained, so that nothing is trained in vain."""

    def __init__(self, recipe: Recipe, folder: Path, outside: Outside) -> None:
        """Open all of it.

        Raises:
            InputError: a file is absent or unfit, or images are smaller than the crops.
        """
        self._recipe = recipe
        crop_px = min(SIDE_PX, recipe.crop_px)
        self._opened = [opened(data, folder, outside, crop_px) for data in recipe.held_out]

    def frames(self, salt: Sequence[int] = ()) -> Iterator[tuple[WithTruth, list[Frame]]]:
        """The data and frames of them; others with another salt, where they are made up."""
        for number, (data, examples) in enumerate(zip(self._recipe.held_out, self._opened, strict=True)):
            yield data, frames_of(examples, self._recipe.held_out_images, [self._recipe.seed, number, *salt])

    def two_halves(self) -> tuple[list[Frame], list[Frame]]:
        """Frames to calibrate on, and others to see whether it holds.

        Where there are files, every other pair is one of the first; of a single pair it is the upper half.
        """
        first: list[Frame] = []
        second: list[Frame] = []
        for (_, frames), (_, others) in zip(self.frames([APART]), self.frames(), strict=True):
            if frames[0][0] is not others[0][0]:  # made up, each time anew
                first, second = first + frames, second + others
            elif len(frames) > 1:
                first, second = first + frames[::2], second + frames[1::2]
            else:
                (frame, truth), middle = frames[0], frames[0][0].shape[0] // 2
                first.append((frame[:middle], truth[:middle]))
                second.append((frame[middle:], truth[middle:]))
        return first, second


def held_out(recipe: Recipe, judged: HeldOut, network: Callable[[NDArray[Any]], NDArray[Any]]) -> list[dict[str, Any]]:
    """Score a network and the classical denoisers on each entry of `held_out` of a recipe; a row for each.

    A row holds `data`, `denoiser`, `psnr_db` (mean over frames), `gain_db` over the frames as they came, and where
    there are two phases `dark_share_error_bradley_pp` and `.._otsu_pp`, the mean error of the share of the darker one.
    Classical ones are tuned on the very frames that they are scored on, in their favour.
    """
    rows: list[dict[str, Any]] = []
    for number, (data, frames) in enumerate(judged.frames()):
        two_phases = isinstance(data, TwinData) and all(one.name in TWO_PHASES for one in data.specimens)
        denoisers = {"none": lambda frame: frame, recipe.name: network, **tuned(frames)}
        name = f"{data.kind} {number + 1}"
        rows += [{"data": name, "denoiser": key, **_scores(frames, denoisers[key], two_phases)} for key in denoisers]
    return rows


def calibrated(judged: HeldOut, network: Network) -> dict[str, float]:
    """Calibrate the deviations that a network claims on held-out frames; how they fit others of the same data."""
    first, others = judged.two_halves()
    return {"deviations_scaled_by": calibrate(network, first), **coverage(network, others)}


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
        side_px = min(SIDE_PX, examples.least_px)
        return [examples.frame(side_px, np.random.default_rng([*seed, index])) for index in range(count)]
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
