"""Raw frames in a sharded Zarr v3 array that is valid after every single frame; see `shard` for how."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodecIndexLocation

from acquisition.durable import PARTIAL, make_folders, sync, write_durably
from acquisition.shard import FRAMES_PER_SHARD, DamagedShard, Shard, cut, lost_slots, mend, read_slots

DESCRIPTION = "zarr.json"
COMPRESSOR: Final = "lz4"
LEVEL: Final = 1
"""The fastest that blosc has; behind a bit-shuffle it takes a third off camera noise, and most off what is empty."""


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as it goes to the disk, and what it was like."""

    chunk: bytes
    mean: float
    sd: float


class FrameArray:
    """Array (frame, y, x) of uint16 to which frames are appended; readable by any Zarr v3 reader meanwhile.

    Slots that were not written yet read as 0. One writer at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open an array that `create` laid out."""
        self.path = path
        self._frames, rows, columns = zarr.open_array(path, mode="r").shape
        self.frame_shape = rows, columns
        self._frame_bytes = 2 * rows * columns
        self._shard_number = -1
        self._shard: Shard | None = None

    @classmethod
    def create(cls, path: Path, frame_shape: tuple[int, int], frames: int) -> Self:
        """Lay out an empty array for `frames` frames, on the disk.

        Raises:
            FileExistsError: there is an array already.
        """
        zarr.create_array(
            path,
            shape=(frames, *frame_shape),
            shards={
                "shape": (FRAMES_PER_SHARD, *frame_shape),
                "index_location": ShardingCodecIndexLocation.start,
            },
            chunks=(1, *frame_shape),
            dtype=np.uint16,
            filters=None,
            compressors=BloscCodec(typesize=2, cname=COMPRESSOR, clevel=LEVEL, shuffle="bitshuffle"),
            fill_value=0,
            dimension_names=("frame", "y", "x"),
        )
        for written in (path / DESCRIPTION, path, path.parent):
            sync(written)
        return cls(path)

    def encode(self, pixels: NDArray[np.uint16]) -> EncodedFrame:
        """Compress a frame (y, x); may run in several threads at once, and gives the same for the same pixels.

        Raises:
            ValueError: another shape or type than the array's.
        """
        if pixels.shape != self.frame_shape or pixels.dtype != np.uint16:
            raise ValueError(f"a frame is {pixels.dtype} {pixels.shape}, the run's are uint16 {self.frame_shape}")
        # zarr turns blosc's own threads off: with them the order of the blocks is a matter of chance
        chunk = blosc.compress(np.ascontiguousarray(pixels), COMPRESSOR.encode(), LEVEL, blosc.BITSHUFFLE)
        mean, sd = cv2.meanStdDev(pixels)
        return EncodedFrame(chunk, mean.item(), sd.item())

    def write(self, number: int, frame: EncodedFrame) -> None:
        """Put an encoded frame at the end as number `number` and return once it is on the disk.

        An array that is full grows by one, for tiles that are taken again or were added to the plan.

        Raises:
            ValueError: a number beyond that; nothing was written.
            OSError: the disk refused; `keep` makes the array what it was before.
        """
        if not 0 <= number <= self._frames:
            raise ValueError(f"frame {number} is outside 0..{self._frames}")
        shard, slot = divmod(number, FRAMES_PER_SHARD)
        try:
            if number == self._frames:
                self._grow()
            if self._shard is None or shard != self._shard_number:
                self._shard = self._opened(shard)
            self._shard.append(slot, frame.chunk)
        except OSError as error:
            self.close()
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def lost(self, frames: Iterable[int]) -> list[int]:
        """Which of these frames are not whole, going by their slots and the heads of their chunks."""
        by_shard: defaultdict[int, list[int]] = defaultdict(list)
        for frame in frames:
            by_shard[frame // FRAMES_PER_SHARD].append(frame % FRAMES_PER_SHARD)
        return [
            number * FRAMES_PER_SHARD + slot
            for number, slots in by_shard.items()
            for slot in self._lost_slots(number, slots)
        ]

    def mend(self) -> None:
        """Fill in torn pages of slots again, as far as whole chunks follow each other.

        Raises:
            OSError: the disk refused.
        """
        self.close()
        for number in self._shards():
            try:
                read_slots(self._shard_path(number))
            except FileNotFoundError:
                continue
            except DamagedShard:
                mend(self._shard_path(number), self._frame_bytes)

    def keep(self, frames: int) -> None:
        """Drop every frame from number `frames` on: every file is then what it was before these were written.

        Raises:
            OSError: the disk refused.
        """
        self.close()
        whole, rest = divmod(frames, FRAMES_PER_SHARD)
        for number in self._shards():
            path = self._shard_path(number)
            path.with_suffix(PARTIAL).unlink(missing_ok=True)
            if number > whole or (number == whole and rest == 0):
                path.unlink(missing_ok=True)
            elif number == whole:
                cut(path, rest)

    def close(self) -> None:
        """Release the open shard; may be called twice."""
        if self._shard is not None:
            self._shard.close()
        self._shard, self._shard_number = None, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _grow(self) -> None:
        description = json.loads((self.path / DESCRIPTION).read_text())
        description["shape"][0] = self._frames + 1
        write_durably(self.path / DESCRIPTION, json.dumps(description, indent=2))
        self._frames += 1

    def _opened(self, number: int) -> Shard:
        self.close()
        path = self._shard_path(number)
        make_folders(path.parent)
        shard = Shard(path, self._frame_bytes)
        self._shard_number = number
        return shard

    def _lost_slots(self, number: int, slots: list[int]) -> list[int]:
        try:
            return lost_slots(self._shard_path(number), slots)
        except (FileNotFoundError, DamagedShard):
            return slots

    def _shards(self) -> list[int]:
        return [int(folder.name) for folder in (self.path / "c").glob("*") if folder.name.isdigit()]

    def _shard_path(self, number: int) -> Path:
        return self.path / "c" / str(number) / "0" / "0"
