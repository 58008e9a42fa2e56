"""Folders of pairs for evaluation."""

from pathlib import Path

import cv2
import numpy as np

from tests.reconstruction.scenes import texture


def noisy_pair(seed: int, side: int = 200, kind: str = "grains") -> tuple[np.ndarray, np.ndarray]:
    """A frame of 8 bit with shot noise, and its truth."""
    truth = np.rint(texture(kind, (side, side + 20), seed).astype(float) * 220).astype(np.uint8)
    frame = np.random.default_rng(seed).poisson(truth / 8.0) * 8.0
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8), truth


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def pair_folder(folder: Path, seeds: tuple[int, ...] = (1, 2, 3), side: int = 200) -> Path:
    """A folder with `low/` and `high/`."""
    for seed in seeds:
        frame, truth = noisy_pair(seed, side)
        write(folder / "low" / f"{seed}.png", frame)
        write(folder / "high" / f"{seed}.png", truth)
    return folder
