"""A closed-loop axis that follows a waveform, for as long as it lasts."""

import math
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hardware_sim.approach import Approach
from hardware_sim.motion import Motion, Vector
from hardware_sim.wave_chain import Chain
from hardware_sim.wave_course import ROUNDING, Course, Pieces
from hardware_sim.wave_loop import Legs, Loop

BLOCK = 1024
"""Pieces that are worked out together: within two milliseconds, even where the axis slews."""
PERIOD_LAGS = 40.0
"""Least length of a period in time constants of the loop, so that the next one does not remember how it began."""


class Wave:
    """The target follows a course that began at `course_s`; the axis closes in on it as it does in a move.

    After the course it goes on like a move to the last point. The axis may join later than the course began.
    """

    def __init__(self, course: Course, course_s: float, like: Approach) -> None:
        """Go from where and when the move `like` begins, with the loop that it has."""
        self.course = course
        self.course_s = course_s
        self.start_s = like.start_s
        self.start_um = like.start_um
        self._like = like
        self._loop = Loop(like.slew_um_per_s, like.time_constant_s)
        self._pieces = Pieces(course, PERIOD_LAGS * like.time_constant_s)
        self._count = len(self._pieces.starts_um)
        self.period_blocks = -(-self._count // BLOCK)
        pieces, since_s = self._step(np.array([self.start_s]))
        self._first_block = int(self._block(pieces)[0])
        self._joins_s = float(self._in_block_s(pieces, since_s)[0])
        error_um = float(self._pieces.targets_um(pieces, since_s)[0]) - like.start_um
        self._chain: Chain[Legs] = Chain(error_um, self.period_blocks, self._work_out)

    @property
    def ends_s(self) -> float:
        """World time at which the course is over."""
        return self.course_s + self.course.duration_s

    @property
    def stands_from_s(self) -> float:
        """World time at which the target comes to its last point."""
        return self.course_s + self.course.stands_from_s

    @property
    def target_um(self) -> float:
        """Where it leads."""
        return self.course.last_um

    @cached_property
    def tail(self) -> Approach:
        """The move to the last point."""
        pieces, since_s = self._step(np.array([self.stands_from_s]))
        start_um = self.target_um - float(self._errors_um(pieces, since_s)[0])
        return replace(self._like, start_s=self.stands_from_s, start_um=start_um, target_um=self.target_um)

    @property
    def arrives_s(self) -> float:
        """World time from which the axis stands on the last point."""
        return max(self.tail.arrives_s, self.ends_s) if math.isfinite(self.ends_s) else math.inf

    def on_target_s(self, settle_s: float) -> float:
        """World time from which the controller calls the axis on target."""
        return max(self.tail.on_target_s(settle_s), self.ends_s) if math.isfinite(self.ends_s) else math.inf

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        if times_s.min() >= self.stands_from_s:
            return self.tail.positions_um(times_s)
        pieces, since_s = self._step(times_s)
        following_um: Vector = self._pieces.targets_um(pieces, since_s) - self._errors_um(pieces, since_s)
        if times_s.max() < self.stands_from_s:
            return following_um
        return np.where(times_s < self.stands_from_s, following_um, self.tail.positions_um(times_s))

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        targets_um = self._pieces.targets_um(*self._step(times_s))
        return np.where(times_s < self.stands_from_s, targets_um, self.target_um)

    def progress(self, times_s: Vector) -> Vector:
        """The part of the time that lies behind, 0..1."""
        return np.clip((times_s - self.start_s) / (self.ends_s - self.start_s), 0.0, 1.0)

    def resumed(self, time_s: float, position_um: float) -> Motion:
        """What is left to do for an axis that stands elsewhere at a later time."""
        if time_s >= self.stands_from_s:
            return self.tail.resumed(time_s, position_um)
        joining = replace(self._like, start_s=max(time_s, self.start_s), start_um=position_um)
        return Wave(self.course, self.course_s, joining)

    def legs(self, block: int) -> Legs:
        """How the axis goes in a block, in the block's own time; blocks are counted from the first that it joins."""
        return self._chain.block(block)

    def blocks_at(self, times_s: Vector) -> tuple[NDArray[np.int64], Vector]:
        """Find the blocks at `times_s`, and the times in them."""
        pieces, since_s = self._step(times_s)
        return self._block(pieces) - self._first_block, self._in_block_s(pieces, since_s)

    def _step(self, times_s: Vector) -> tuple[NDArray[np.int64], Vector]:
        """Count the pieces of all periods up to `times_s`, and tell the time since the beginning of the last."""
        elapsed_s = np.clip(times_s, self.start_s, max(self.stands_from_s, self.start_s)) - self.course_s
        pieces = np.floor(elapsed_s / self.course.step_s + ROUNDING).astype(np.int64)
        return pieces, np.maximum(elapsed_s - pieces * self.course.step_s, 0.0)

    def _block(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        period, piece = np.divmod(pieces, self._count)
        blocks: NDArray[np.int64] = period * self.period_blocks + piece // BLOCK
        return blocks

    def _in_block_s(self, pieces: NDArray[np.int64], since_s: Vector) -> Vector:
        in_block_s: Vector = pieces % self._count % BLOCK * self.course.step_s + since_s
        return in_block_s

    def _errors_um(self, pieces: NDArray[np.int64], since_s: Vector) -> Vector:
        blocks = self._chain.places(self._block(pieces) - self._first_block)
        in_block_s = self._in_block_s(pieces, since_s)
        errors_um = np.empty(len(pieces))
        for block in np.unique(blocks).tolist():
            here = blocks == block
            legs = self._chain.block(block)
            numbers = legs.at(in_block_s[here])
            errors_um[here] = legs.error_um(numbers, in_block_s[here] - legs.starts_s[numbers])
        return errors_um

    def _work_out(self, block: int, error_um: float) -> tuple[Legs, float]:
        first = (block + self._first_block) % self.period_blocks * BLOCK
        pieces = slice(first, first + BLOCK)
        rates, jumps_um = self._pieces.rates_um_per_s[pieces], self._pieces.jumps_um[pieces]
        return self._loop.follow(error_um, rates, jumps_um, self.course.step_s, 0.0 if block else self._joins_s)
