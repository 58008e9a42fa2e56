"""Restoration of single frames: none, and a classical denoiser that needs no training."""

import hashlib
import json
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.noise import measure


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


def restorer(name: str) -> Restorer:
    """Make the restorer of that name.

    Raises:
        InputError: there is none of that name; the message lists those known.
    """
    if name not in CLASSICAL:
        raise InputError(f"model: {name!r} is not one of {', '.join(sorted(CLASSICAL))}")
    return CLASSICAL[name]()
