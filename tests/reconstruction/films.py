"""Videos of a specimen under a moving stage, with flaws where a test wants them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 25.0
MARGIN_PX = 8
Way = Sequence[tuple[float, float]]


@dataclass
class Shooting:
    """A microscope over a specimen (y, x) in 0..1; `frame(x, y)` photographs it with the corner of the view there."""

    specimen: NDArray[np.float32]
    shape: tuple[int, int] = (192, 256)
    noise: float = 6.0  # grey values
    seed: int = 1
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def clean(self, x: float, y: float) -> NDArray[np.float32]:
        """What is there, without noise, in grey values."""
        left, top = max(int(x) - MARGIN_PX, 0), max(int(y) - MARGIN_PX, 0)
        rows, columns = self.shape
        part = self.specimen[top : top + rows + 2 * MARGIN_PX + 2, left : left + columns + 2 * MARGIN_PX + 2]
        moved = np.array([[1, 0, left - x], [0, 1, top - y]], np.float32)
        seen = cv2.warpAffine(part, moved, (columns, rows), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen * 190 + 30, np.float32)

    def noisy(self, clean: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.clip(np.rint(clean + self.rng.normal(0, self.noise, clean.shape)), 0, 255).astype(np.uint8)

    def frame(self, x: float, y: float) -> NDArray[np.uint8]:
        return self.noisy(self.clean(x, y))

    def film(self, way: Way, flaws: Mapping[int, str] | None = None) -> list[NDArray[np.uint8]]:
        """Photograph along a way of (x, y), one place a picture; `flaws` by number."""
        frames: list[NDArray[np.uint8]] = []
        for number, (x, y) in enumerate(way):
            flaw = (flaws or {}).get(number)
            if flaw is None:
                frames.append(self.frame(x, y))
                continue
            earlier = self.clean(*way[max(number - 2, 0)])
            now = self.clean(x, y)
            if flaw == "blurred":
                frames.append(self.noisy(cv2.GaussianBlur(now, (0, 0), 3.0)))
            elif flaw == "doubled":
                frames.append(self.noisy((now + earlier) / 2))
            elif flaw == "torn":
                third = self.shape[0] // 3
                frames.append(self.noisy(np.vstack([now[:third], earlier[third:]])))
            elif flaw == "black":
                frames.append(self.noisy(np.zeros_like(now) + 4))
            elif flaw == "repeated":
                frames.append(frames[-1])
            else:
                raise ValueError(flaw)
        return frames


def straight(start: tuple[float, float], step: tuple[float, float], count: int) -> list[tuple[float, float]]:
    """Go `count` pictures from a place on, by a step (x, y) from each to the next."""
    return [(start[0] + step[0] * i, start[1] + step[1] * i) for i in range(count)]


def write_film(path: Path, frames: Iterable[NDArray[np.uint8]], codec: str = "FFV1") -> Path:
    """Write a grey video; FFV1 keeps every bit."""
    writer = None
    for frame in frames:
        if writer is None:
            size = frame.shape[1], frame.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE_HZ, size, isColor=False)
            assert writer.isOpened()
        writer.write(frame)
    assert writer is not None
    writer.release()
    return path
