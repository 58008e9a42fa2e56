"""Restoration of single frames: none, a classical denoiser that needs no training, or a network."""

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from reconstruction.errors import InputError
from reconstruction.model_card import Card, box, check_weights, folder_of, read
from reconstruction.noise import measure

DEVIATION_STEPS = {8: 4, 16: 16}  # of a layer of uncertainties, in one grey value, by the bits of its frames

_logger = logging.getLogger(__name__)


def deviation_steps(dtype: DTypeLike) -> int:
    """Tell how many steps of a deviation make a grey value, so that all that occur have room: up to 64 in 8 bits."""
    return DEVIATION_STEPS[8 * np.dtype(dtype).itemsize]


class Restorer(Protocol):
    """Makes a better frame out of a frame, always the same from the same."""

    @property
    def name(self) -> str:
        """Name in reports and model lists."""

    @property
    def sha256(self) -> str | None:
        """Hash of what determines the result; None if nothing is done."""

    @property
    def halo_px(self) -> int:
        """How far from a pixel its restored value may look."""

    @property
    def scale(self) -> int:
        """How many pixels of the result lie on one of a frame, along each axis."""

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Restore a frame (y, x), in any thread; same dtype, `scale` times the shape."""


@runtime_checkable
class UncertainRestorer(Restorer, Protocol):
    """A restorer that knows how far it may be off."""

    def restore_with_deviation(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Restore a frame (y, x); (2, scale * y, scale * x) of the same dtype, restored grey values first.

        Then comes their standard deviation, `deviation_steps` to a grey value, up to the largest number there is.
        """


class NoRestorer:
    """Leaves frames as they came; fulfils `Restorer`."""

    name = "none"
    sha256 = None
    halo_px = 0
    scale = 1

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        return frame


class NonLocalMeans:
    """Non-local means (Buades, Coll and Morel 2005) on variance-stabilised grey values; fulfils `Restorer`.

    Its hash is that of its name, version and parameters, as JSON with sorted keys.
    """

    name = "nlm"
    scale = 1
    version = 1
    template_px = 5
    search_px = 13
    strength = 0.9  # filter width in standard deviations of the noise
    levels_per_sigma = 32.0  # of the 16 bit image that OpenCV filters

    @property
    def sha256(self) -> str:
        facts = {
            "name": self.name,
            "version": self.version,
            "template_px": self.template_px,
            "search_px": self.search_px,
            "strength": self.strength,
            "levels_per_sigma": self.levels_per_sigma,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def halo_px(self) -> int:
        return self.search_px // 2 + self.template_px // 2

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        noise = measure(frame)
        flat = noise.stabilised(frame)
        low, high = float(flat.min()), float(flat.max())
        scale = min(self.levels_per_sigma, 65535 / max(high - low, 1e-6))
        whole = np.rint((flat - low) * scale).astype(np.uint16)
        filtered = cv2.fastNlMeansDenoising(
            whole,
            h=[self.strength * scale],
            templateWindowSize=self.template_px,
            searchWindowSize=self.search_px,
            normType=cv2.NORM_L1,
        )
        values = noise.restored(filtered.astype(np.float32) / np.float32(scale) + np.float32(low))
        return np.clip(np.rint(values), 0, np.iinfo(frame.dtype).max).astype(frame.dtype)


CLASSICAL: dict[str, type[NoRestorer] | type[NonLocalMeans]] = {"none": NoRestorer, "nlm": NonLocalMeans}


@dataclass(frozen=True)
class Known:
    """What is known of a restorer before it is made; classical ones have no card."""

    name: str
    sha256: str | None
    scale: int
    card: Card | None


def at_hand() -> list[Known]:
    """Tell of all restorers with a name, in alphabetical order; a model with an unreadable card has none."""
    classical = (make() for make in CLASSICAL.values())
    found = [Known(each.name, each.sha256, each.scale, None) for each in classical]
    for name in box():
        with suppress(InputError):
            card = read(folder_of(name))
            found.append(Known(name, card.sha256, card.scale, card))
    return sorted(found, key=lambda known: known.name)


def check(name: str, files: bool = True) -> None:
    """Make sure that there is a restorer of that name, without getting it ready: for what must not load torch.

    Args:
        files: whether it may be a model's folder, or a file in it.

    Raises:
        InputError: there is none, or it is a model that cannot be trusted.
    """
    if name in CLASSICAL:
        return
    if not files and name not in box():
        raise InputError(f"model: {name!r} is not one of {', '.join(sorted([*CLASSICAL, *box()]))}")
    folder = folder_of(name, sorted(CLASSICAL))
    check_weights(folder, read(folder))


def restorer(name: str, device: str = "auto", said: Callable[[str], None] = _logger.warning) -> Restorer:
    """Make the restorer of that name, or of a model's folder or a file in it.

    Args:
        device: where networks run: auto, cpu or cuda.
        said: hears, a line each, what the user should know of how it goes.

    Raises:
        InputError: there is none, it cannot be trusted, or the device is not there.
    """
    if name in CLASSICAL:
        if device not in ("auto", "cpu"):
            raise InputError(f"device: {device!r} is not one of auto, cpu; {name} runs on nothing else")
        return CLASSICAL[name]()
    from reconstruction.network_restorer import network_restorer  # torch: seconds, and half a gigabyte

    return network_restorer(folder_of(name, sorted(CLASSICAL)), device, said)
