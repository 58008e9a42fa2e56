"""What is known of the detector's pattern while tiles arrive: learnt from the first of them."""

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from reconstruction.fixed_pattern import FixedPattern, PatternEstimate
from reconstruction.sources import Tile


class PatternLearning:
    """Learns from the first tiles, and once more when one of them is taken again: its frame may have been a bad one."""

    def __init__(self, pixels: Callable[[Tile], NDArray[Any]]) -> None:
        self.pattern: FixedPattern | None = None
        self._pixels = pixels
        self._begin()

    def _begin(self) -> None:
        self._estimate = PatternEstimate()
        self._takes: dict[int, int] = {}  # by index, that were learnt from
        self._settled = False

    @property
    def complete(self) -> bool:
        """Whether there were enough frames, and nothing has been made of them yet."""
        return self._estimate.complete and not self._settled

    def learn_from(self, tiles: Iterable[Tile]) -> None:
        """Learn until there are enough; from each tile once: with itself, all of it would be a pattern."""
        for tile in tiles:
            if self._settled or self._estimate.complete:
                return
            if tile.index not in self._takes:
                self._estimate.add(self._pixels(tile))
                self._takes[tile.index] = tile.take

    def take_again(self, tiles: Iterable[Tile]) -> None:
        """Begin anew if it was learnt from other frames of some of the tiles."""
        if any(self._takes.get(tile.index, tile.take) != tile.take for tile in tiles):
            self._begin()

    def settle(self) -> bool:
        """Make up one's mind; whether what was measured before took something else for the pattern."""
        if self._settled:
            return False
        before, self.pattern, self._settled = self.pattern, self._estimate.pattern(), True
        return before is not None or self.pattern is not None
