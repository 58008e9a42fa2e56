"""What a network learns from: an image as it is shown, what it should answer, and where that counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reconstruction.normalisation import Normalisation
from reconstruction.training.blind_spot import hidden
from reconstruction.training.overlaps import TwoLooks
from reconstruction.training.pairs import Pair

Image = NDArray[np.float32]
Random = np.random.Generator
Worsened = Callable[[Image, Random], tuple[NDArray[Any], Image]]
"""From a clean image in 0..1 to a frame, and to its mean over all noise in grey values of that frame."""


@dataclass(frozen=True, eq=False)
class Example:
    """Three arrays (y, x) of one shape; values as networks see them (see `normalisation`), `counts` in 0..1."""

    seen: Image
    target: Image
    counts: Image


class Examples(Protocol):
    """Gives examples without end; the same from the same state of `random`."""

    def example(self, side_px: int, random: Random) -> Example:
        """Make one of `side_px` x `side_px` pixels."""


class CleanImages:
    """Clean images (y, x) in 0..1 that are made worse each time anew; fulfils `Examples`."""

    def __init__(self, images: Sequence[Image], worsened: Worsened) -> None:
        self._images = images
        self._worsened = worsened
        self.least_px = min(min(image.shape) for image in images)

    def frame(self, side_px: int, random: Random) -> tuple[NDArray[Any], Image]:
        """Make a frame of `side_px` x `side_px` pixels; and its mean over all noise, in its grey values."""
        (image,) = _cut([self._images[int(random.integers(len(self._images)))]], side_px, random)
        return self._worsened(_turned([image], random)[0], random)

    def example(self, side_px: int, random: Random) -> Example:
        frame, clean = self.frame(side_px, random)
        normalisation = Normalisation.of(frame)
        seen, target = normalisation.seen(frame.astype(np.float32)), normalisation.target(clean)
        return Example(seen, target, np.ones_like(seen))


class PairedImages:
    """Registered pairs of fast and slow images; fulfils `Examples`."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self._normalisations = [Normalisation.of(pair.low) for pair in pairs]

    def example(self, side_px: int, random: Random) -> Example:
        which = int(random.integers(len(self.pairs)))
        pair, normalisation = self.pairs[which], self._normalisations[which]
        low, high = _mirrored(_cut([pair.low.astype(np.float32), pair.high], side_px, random), random)
        seen = normalisation.seen(low)
        return Example(seen, normalisation.target(high), np.ones_like(seen))


class NoisyPairs:
    """Two noisy looks at each place: one is shown, the other one asked for; fulfils `Examples`."""

    def __init__(self, looks: Sequence[TwoLooks]) -> None:
        self._looks = looks

    def example(self, side_px: int, random: Random) -> Example:
        looks = self._looks[int(random.integers(len(self._looks)))]
        one, other = _mirrored(_cut([looks.first.astype(np.float32), looks.second], side_px, random), random)
        seen = looks.normalisation.seen(one)
        return Example(seen, looks.normalisation.seen(other), np.ones_like(seen))


class NoisyImages:
    """Noisy frames alone, some pixels hidden (see `blind_spot`); fulfils `Examples`."""

    def __init__(self, frames: Sequence[NDArray[Any]], span_px: int) -> None:
        self._frames = [Normalisation.of(frame).seen(frame.astype(np.float32)) for frame in frames]
        self._span_px = span_px

    def example(self, side_px: int, random: Random) -> Example:
        frame = self._frames[int(random.integers(len(self._frames)))]
        (seen,) = _mirrored(_cut([frame], side_px, random), random)
        shown, asked = hidden(seen, self._span_px, random)
        return Example(shown, seen, asked)


class Mixture:
    """Several kinds of examples, each with its share; fulfils `Examples`."""

    def __init__(self, kinds: Sequence[Examples], shares: Sequence[float]) -> None:
        self._kinds = kinds
        self._shares = np.asarray(shares) / np.sum(shares)

    def example(self, side_px: int, random: Random) -> Example:
        return self._kinds[int(random.choice(len(self._kinds), p=self._shares))].example(side_px, random)


def batch(examples: Examples, count: int, side_px: int, random: Random) -> tuple[Image, Image, Image]:
    """Stack examples: what is shown, what is asked for and where it counts, (count, 1, side_px, side_px) each."""
    made = [examples.example(side_px, random) for _ in range(count)]
    seen, target, counts = (
        np.stack([getattr(one, name) for one in made])[:, None] for name in ("seen", "target", "counts")
    )
    return seen, target, counts


def _cut(images: Sequence[Image], side_px: int, random: Random) -> list[Image]:
    """Cut the same square out of images of one shape, at least as large."""
    rows, columns = images[0].shape
    top, left = (int(random.integers(size - side_px + 1)) for size in (rows, columns))
    return [image[top : top + side_px, left : left + side_px] for image in images]


def _turned(images: Sequence[Image], random: Random) -> list[Image]:
    """Turn by any number of right angles: of scenes, before lines are scanned."""
    quarters = int(random.integers(4))
    return _mirrored([np.rot90(image, quarters) for image in images], random)


def _mirrored(images: Sequence[Image], random: Random) -> list[Image]:
    """Mirror or not, left to right and top to bottom: what is alike along lines remains so."""
    steps = tuple(int(step) for step in random.choice([-1, 1], 2))
    return [np.ascontiguousarray(image[:: steps[0], :: steps[1]]) for image in images]
