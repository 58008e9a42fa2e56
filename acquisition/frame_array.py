"""Raw frames in a sharded Zarr v3 array that is valid after every single frame; see `shard` for how."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import cv2
import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodecIndexLocation

from acquisition.chunks import Chunk, Pages
from acquisition.durable import PARTIAL, make_folders, sync, write_durably
from acquisition.shard import CHUNK_HEAD, FRAMES_PER_SHARD, DamagedShard, Shard, cut, lost_slots, mend, read_slots
from reconstruction.sharpness import sampled_sharpness

DESCRIPTION = "zarr.json"
Compression = Literal["none", "lz4"]
"""The fastest that blosc has, behind a bit-shuffle: takes 40 % off camera noise and most off what is empty, and costs
a core some 10 ms for 11 MB. Without it blosc only frames the pixels."""
CODECS: Mapping[Compression, BloscCodec] = {
    "none": BloscCodec(typesize=2, cname="lz4", clevel=0, shuffle="noshuffle"),
    "lz4": BloscCodec(typesize=2, cname="lz4", clevel=1, shuffle="bitshuffle"),
}


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame as it goes to the disk, and what it was like."""

    chunk: Chunk
    mean: float
    sd: float
    focus_score: float


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
        self._compresses = _level(path) > 0
        self._pages = Pages(self._frame_bytes + blosc.MAX_OVERHEAD)
        self._plain_head = _chunk(np.zeros(self.frame_shape, np.uint16), level=0)[:CHUNK_HEAD]
        self._shard_number = -1
        self._shard: Shard | None = None

    @property
    def encoders(self) -> int:
        """How many frames to encode at a time: a core takes longer to compress one than a fast disk to write it."""
        return 2 if self._compresses else 1

    @classmethod
    def create(cls, path: Path, frame_shape: tuple[int, int], frames: int, compression: Compression = "none") -> Self:
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
            compressors=CODECS[compression],
            fill_value=0,
            dimension_names=("frame", "y", "x"),
        )
        for written in (path / DESCRIPTION, path, path.parent):
            sync(written)
        return cls(path)

    def encode(self, pixels: NDArray[np.uint16]) -> EncodedFrame:
        """Make a frame (y, x) ready for the disk, in whatever thread; the same pixels give the same bytes.

        Raises:
            ValueError: another shape or type than the array's.
        """
        if pixels.shape != self.frame_shape or pixels.dtype != np.uint16:
            raise ValueError(f"a frame is {pixels.dtype} {pixels.shape}, the run's are uint16 {self.frame_shape}")
        pixels = np.ascontiguousarray(pixels)
        mean, sd = cv2.meanStdDev(pixels)
        parts = [_chunk(pixels, level=1)] if self._compresses else [self._plain_head, pixels.reshape(-1).view(np.uint8)]
        return EncodedFrame(self._pages.filled(*parts), mean.item(), sd.item(), sampled_sharpness(pixels))

    def write(self, first: int, frames: Sequence[EncodedFrame]) -> None:
        """Put encoded frames at the end, as number `first` and those after it; return once they are on the disk.

        An array that is full grows, for tiles that are taken again or were added to the plan.

        Raises:
            ValueError: a number beyond that; nothing was written.
            OSError: the disk refused; `keep` makes the array what it was before.
        """
        if not 0 <= first <= self._frames:
            raise ValueError(f"frame {first} is outside 0..{self._frames}")
        try:
            if first + len(frames) > self._frames:
                self._grow(first + len(frames))
            for number, slot, part in _by_shard(first, frames):
                if self._shard is None or number != self._shard_number:
                    self._shard = self._opened(number)
                self._shard.append(slot, [frame.chunk for frame in part])
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

    def _grow(self, frames: int) -> None:
        description = json.loads((self.path / DESCRIPTION).read_text())
        description["shape"][0] = frames
        write_durably(self.path / DESCRIPTION, json.dumps(description, indent=2))
        self._frames = frames

    def _opened(self, number: int) -> Shard:
        self.close()
        path = self._shard_path(number)
        make_folders(path.parent)
        shard = Shard(path)
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


def _chunk(pixels: NDArray[np.uint16], level: int) -> NDArray[np.uint8]:
    """What blosc makes of a frame; zarr turns its own threads off, which would order the blocks by chance."""
    return np.frombuffer(
        blosc.compress(pixels, b"lz4", level, blosc.BITSHUFFLE if level else blosc.NOSHUFFLE), np.uint8
    )


def _level(path: Path) -> int:
    """How hard the frames of an array are compressed; it stays what it was when the run began."""
    sharding = json.loads((path / DESCRIPTION).read_text())["codecs"][0]["configuration"]
    return int(sharding["codecs"][-1]["configuration"]["clevel"])


def _by_shard(first: int, frames: Sequence[EncodedFrame]) -> Iterator[tuple[int, int, Sequence[EncodedFrame]]]:
    """Divide frames that follow each other among shards: the shard's number, the first slot there, and its frames."""
    while frames:
        number, slot = divmod(first, FRAMES_PER_SHARD)
        here = min(FRAMES_PER_SHARD - slot, len(frames))
        yield number, slot, frames[:here]
        first, frames = first + here, frames[here:]
