"""An image of the mosaic and its pyramid: blocks are drawn in threads, what lies above them is built from memory."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.canvas import BLOCK_PX, Block
from reconstruction.opened_array import opened_array
from reconstruction.pyramid import halved, level_shapes
from reconstruction.whole_shard import write_shard

HALF_PX = BLOCK_PX // 2
Draw = Callable[[Block], NDArray[Any]]


@dataclass
class _Parent:
    """A block above level 0 while its children come in."""

    image: NDArray[Any]
    missing: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class GrowingPyramid:
    """Replaces shards of a multiscale image; `also` names images that show the same."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any], also: Sequence[Path] = ()) -> None:
        self._paths = (path, *also)
        self._shapes = level_shapes(shape)
        self._dtype = dtype

    def update(self, dirty: Iterable[Block], draw: Draw, pool: Executor, band: int, drew: Callable[[], None]) -> None:
        """Draw the dirty blocks and what lies above them, column by column of bands of `band` rows of blocks.

        That order asks for a tile again soon, or not before the next band, and keeps of each level a row in memory.
        `drew` is called after each block, in this thread.
        """
        order = sorted(dirty, key=lambda block: (block[0] // band, block[1], block[0]))
        levels = [set(order)]
        for _ in self._shapes[1:]:
            levels.append({(row // 2, column // 2) for row, column in levels[-1]})
        work = _Update(self, levels, draw)
        drawn = [pool.submit(work.block, block) for block in order]
        try:
            for each in drawn:
                each.result()
                drew()
        finally:
            for each in drawn:
                each.cancel()

    def write(self, level: int, block: Block, image: NDArray[Any]) -> None:
        """Replace one shard."""
        first, *also = (path / str(level) / "c" / str(block[0]) / str(block[1]) for path in self._paths)
        write_shard(first, image, also)

    def on_disk(self, level: int, block: Block) -> NDArray[Any]:
        """Read a block (y, x) back."""
        return np.array(opened_array(self._paths[0] / str(level))[self._region(level, block)].read().result())

    def empty(self, level: int, block: Block) -> NDArray[Any]:
        rows, columns = self._region(level, block)
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start), self._dtype)

    def children(self, level: int, block: Block) -> list[Block]:
        """List the blocks of the level below that a block shows."""
        rows, columns = (-(-size // BLOCK_PX) for size in self._shapes[level - 1])
        return [
            (row, column)
            for row in range(2 * block[0], min(2 * block[0] + 2, rows))
            for column in range(2 * block[1], min(2 * block[1] + 2, columns))
        ]

    def _region(self, level: int, block: Block) -> tuple[slice, slice]:
        rows, columns = self._shapes[level]
        top, left = block[0] * BLOCK_PX, block[1] * BLOCK_PX
        return slice(top, min(top + BLOCK_PX, rows)), slice(left, min(left + BLOCK_PX, columns))


class _Update:
    """One pass over dirty blocks; its methods are called in any thread."""

    def __init__(self, pyramid: GrowingPyramid, levels: list[set[Block]], draw: Draw) -> None:
        self._pyramid = pyramid
        self._levels = levels
        self._draw = draw
        self._parents: dict[tuple[int, Block], _Parent] = {}
        self._lock = threading.Lock()

    def block(self, block: Block) -> None:
        """Draw a block, and those above it that wait for no other."""
        self._finished(0, block, self._draw(block))

    def _finished(self, level: int, block: Block, image: NDArray[Any]) -> None:
        self._pyramid.write(level, block, image)
        if level + 1 == len(self._levels):
            return
        above = block[0] // 2, block[1] // 2
        parent = self._parent(level + 1, above)
        part = halved(image)
        top, left = (block[0] % 2) * HALF_PX, (block[1] % 2) * HALF_PX
        with parent.lock:
            parent.image[top : top + part.shape[0], left : left + part.shape[1]] = part
            parent.missing -= 1
            complete = not parent.missing
        if complete:
            with self._lock:
                del self._parents[level + 1, above]
            self._finished(level + 1, above, parent.image)

    def _parent(self, level: int, block: Block) -> _Parent:
        """Begin a block above with what is on the disk, unless all of it comes anew."""
        with self._lock:
            if (level, block) not in self._parents:
                children = self._pyramid.children(level, block)
                dirty = sum(child in self._levels[level - 1] for child in children)
                known = self._pyramid.empty if dirty == len(children) else self._pyramid.on_disk
                self._parents[level, block] = _Parent(known(level, block), dirty)
            return self._parents[level, block]
