"""What frames of this rig take on this disk, in bytes and in time: a few are written as the run would write them."""

import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.frame_array import Compression, FrameArray

FRAMES = 8
"""Enough for the disk's own time to show behind that of the first, which lays out the file."""


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    stored_part: float
    """Of a frame's bytes, after compression."""
    frames_per_s: float


def try_disk(folder: Path, frames: Sequence[NDArray[np.uint16]], compression: Compression) -> Trial:
    """Write frames (y, x) where `folder` is, or will be, over and over until there are `FRAMES`; leaves nothing behind.

    Raises:
        OSError: the disk refused.
    """
    with tempfile.TemporaryDirectory(prefix=".nanoraster-trial-", dir=standing_part(folder)) as trial:
        path = Path(trial) / "raw.zarr"
        array = FrameArray.create(path, (frames[0].shape[0], frames[0].shape[1]), FRAMES, compression)
        try:
            sizes, began_s = [], time.perf_counter()
            for number, pixels in enumerate(itertools.islice(itertools.cycle(frames), FRAMES)):
                encoded = array.encode(pixels)
                array.write(number, [encoded])
                sizes.append(encoded.chunk.length)
            took_s = time.perf_counter() - began_s
        finally:
            array.close()
    return Trial(sum(sizes) / FRAMES / frames[0].nbytes, FRAMES / took_s)


def standing_part(folder: Path) -> Path:
    """The folder itself or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
