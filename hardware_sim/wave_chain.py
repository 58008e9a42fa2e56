"""Blocks that follow from each other, worked out when they are asked for, until they begin to repeat."""

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

SAME = 1e-9
"""Two states that differ by less are one: a femtometre, or as much of a part."""
BLOCKS_KEPT = 512

Block = TypeVar("Block")


class Chain(Generic[Block]):
    """A block follows from its number and the state at its beginning; what is asked repeats every `period` blocks.

    The first block may be an incomplete one, so that it is not compared.
    """

    def __init__(self, state: float, period: int, work_out: Callable[[int, float], tuple[Block, float]]) -> None:
        self._states = [state]
        self._period = period
        self._work_out = work_out
        self._blocks: dict[int, tuple[Block, float]] = {}
        self._repeats_from: int | None = None

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find for each block the first that is like it."""
        last = int(numbers.max())
        while self._repeats_from is None and last >= len(self._states):
            self._go_on()
        if self._repeats_from is None:
            return numbers
        since = numbers - self._repeats_from
        return np.where(since < self._period, numbers, self._repeats_from + since % self._period)

    def block(self, number: int) -> Block:
        """Look up a block."""
        return self._worked_out(int(self.places(np.array([number]))[0]))[0]

    def _worked_out(self, number: int) -> tuple[Block, float]:
        if number not in self._blocks:
            self._blocks[number] = self._work_out(number, self._states[number])
            if len(self._blocks) > BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
        return self._blocks[number]

    def _go_on(self) -> None:
        _, state = self._worked_out(len(self._states) - 1)
        self._states.append(state)
        before = len(self._states) - 1 - self._period
        if before > 0 and abs(state - self._states[before]) < SAME:
            self._repeats_from = before
