"""Classical denoisers to hold a network against: each with a grid of parameters, out of which pairs choose the best."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.noise import measure
from reconstruction.restore import NonLocalMeans, Restorer

TV_STEP = 0.25  # of the dual field; converges up to here
TV_ITERATIONS = 60
LEAST_VALUE = 1e-6

Image = NDArray[np.float32]


class Classical(Restorer, Protocol):
    """A restorer that is determined by its parameters."""

    def parameters(self) -> dict[str, float]:
        """What it was made with, by name."""


@dataclass(frozen=True)
class _Parametric:
    """What all have in common."""

    name: ClassVar[str]
    scale: ClassVar[int] = 1

    def parameters(self) -> dict[str, float]:
        return asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of name and parameters, as JSON with sorted keys."""
        return hashlib.sha256(json.dumps({"name": self.name, **asdict(self)}, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Gaussian(_Parametric):
    """Average with a Gaussian of `sigma_px`; fulfils `Restorer`."""

    sigma_px: float
    name: ClassVar[str] = "gaussian"

    @property
    def halo_px(self) -> int:
        return round(4 * self.sigma_px)

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        return _as_frame(ndimage.gaussian_filter(frame.astype(np.float32), self.sigma_px), frame)


@dataclass(frozen=True)
class Median(_Parametric):
    """Take the median of `side_px` x `side_px`; fulfils `Restorer`."""

    side_px: int
    name: ClassVar[str] = "median"

    @property
    def halo_px(self) -> int:
        return self.side_px // 2

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(ndimage.median_filter(frame, self.side_px))


@dataclass(frozen=True)
class TotalVariation(_Parametric):
    """Minimise total variation + squared distance / (2 strength), in units of the noise measured on the frame.

    On variance-stabilised grey values (Rudin, Osher and Fatemi 1992), by Chambolle's projections (2004). Fulfils
    `Restorer`.
    """

    strength: float
    name: ClassVar[str] = "tv"

    @property
    def halo_px(self) -> int:
        return TV_ITERATIONS

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        noise = measure(frame)
        smooth = total_variation(noise.stabilised(frame), self.strength)
        return _as_frame(noise.restored(smooth), frame)


@dataclass(frozen=True)
class RichardsonLucy(_Parametric):
    """Deconvolve a Gaussian point spread of `sigma_px` (Richardson 1972, Lucy 1974); stopped early, it denoises.

    Fulfils `Restorer`.
    """

    sigma_px: float
    iterations: int
    name: ClassVar[str] = "richardson_lucy"

    @property
    def halo_px(self) -> int:
        return round(4 * self.sigma_px) * 2 * self.iterations

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        seen = frame.astype(np.float32)
        estimate = np.full(seen.shape, max(float(seen.mean()), LEAST_VALUE), np.float32)
        for _ in range(self.iterations):
            expected = np.maximum(self._spread(estimate), LEAST_VALUE)
            estimate = np.asarray(estimate * self._spread(seen / expected), np.float32)
        return _as_frame(estimate, frame)

    def _spread(self, image: NDArray[Any]) -> Image:
        blurred = cv2.GaussianBlur(image, (0, 0), self.sigma_px, borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32)


class TunedNonLocalMeans(NonLocalMeans):
    """Non-local means, as `nlm`, with a strength of one's own; fulfils `Restorer`."""

    name = "nlm_tuned"

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def parameters(self) -> dict[str, float]:
        return {"strength": self.strength}


FAMILIES: dict[str, tuple[Classical, ...]] = {
    "gaussian": tuple(Gaussian(sigma) for sigma in (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 2.5)),
    "median": tuple(Median(side) for side in (3, 5, 7)),
    "richardson_lucy": tuple(RichardsonLucy(s, n) for s in (0.8, 1.2, 1.6, 2.2) for n in (1, 2, 4, 8)),
    "tv": tuple(TotalVariation(strength) for strength in (0.4, 0.7, 1.0, 1.4, 2.0, 3.0)),
    "nlm_tuned": tuple(TunedNonLocalMeans(strength) for strength in (0.6, 0.75, 0.9, 1.1, 1.4, 1.8, 2.3)),
}


def best_of(
    candidates: Sequence[Classical],
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    score: Callable[[NDArray[Any], NDArray[Any]], float],
) -> Classical:
    """Choose the candidate with the greatest mean score of (truth, restored) over pairs (noisy, truth) to tune on."""
    return max(candidates, key=lambda one: float(np.mean([score(truth, one.restore(low)) for low, truth in pairs])))


def middle_of(candidates: Sequence[Classical]) -> Classical:
    """Choose where there are no pairs to tune on."""
    return candidates[len(candidates) // 2]


def total_variation(image: Image, strength: float) -> Image:
    """Minimise sum |grad u| + |u - image|² / (2 strength) over u, (y, x). Source: Chambolle 2004, JMIV 20, 89."""
    dual = np.zeros((2, *image.shape), np.float32)
    for _ in range(TV_ITERATIONS):
        smooth = image + strength * _divergence(dual)
        slope = np.zeros_like(dual)
        slope[0, :-1] = np.diff(smooth, axis=0)
        slope[1, :, :-1] = np.diff(smooth, axis=1)
        length = np.hypot(slope[0], slope[1])
        dual = (dual + TV_STEP / strength * slope) / (1 + TV_STEP / strength * length)
    return np.asarray(image + strength * _divergence(dual), np.float32)


def _divergence(dual: NDArray[np.float32]) -> Image:
    """The adjoint of the forward differences, with the sign of a divergence."""
    found = dual[0] + dual[1]
    found[1:] -= dual[0, :-1]
    found[:, 1:] -= dual[1, :, :-1]
    return np.asarray(found, np.float32)


def _as_frame(values: NDArray[Any], frame: NDArray[Any]) -> NDArray[Any]:
    """Round to the grey values of the frame's type."""
    return np.asarray(np.clip(np.rint(values), 0, np.iinfo(frame.dtype).max), dtype=frame.dtype)
