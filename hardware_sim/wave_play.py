"""Lost motion along a wave: taken up downwards and given back upwards."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from hardware_sim.motion import Vector
from hardware_sim.wave import Wave
from hardware_sim.wave_chain import Chain
from hardware_sim.wave_loop import Legs


@dataclass(frozen=True, eq=False)
class _Block:
    """The part that is taken up, 0..1, at the beginning of each leg and where the axis turns in it."""

    legs: Legs
    turns_s: Vector
    to_turn_um: Vector
    at_start: Vector
    at_turn: Vector


class Play:
    """The part of an axis' lost motion that is taken up, 0..1, from the beginning of a wave on; `lost_um` in all."""

    def __init__(self, wave: Wave, lost_um: float, taken_up: float) -> None:
        self.start_s = wave.start_s
        self._wave = wave
        self._lost_um = lost_um
        self._chain: Chain[_Block] = Chain(taken_up, wave.period_blocks, self._work_out)

    def values(self, times_s: Vector) -> Vector:
        """Return the values (n, 1) at each of `times_s` (n,)."""
        blocks, in_block_s = self._wave.blocks_at(times_s)
        blocks = self._chain.places(blocks)
        values = np.empty(len(times_s))
        for block in np.unique(blocks).tolist():
            here = blocks == block
            values[here] = self._in_block(self._chain.block(block), in_block_s[here])
        after = times_s > self._wave.stands_from_s
        if after.any():
            tail = self._wave.tail
            values[after] = self._gone(values[after], tail.positions_um(times_s[after]) - tail.start_um)
        return values[:, None]

    def _in_block(self, block: _Block, times_s: Vector) -> Vector:
        numbers = block.legs.at(times_s)
        since_s = times_s - block.legs.starts_s[numbers]
        way_um = block.legs.way_um(numbers, since_s)
        before_turn = self._gone(block.at_start[numbers], way_um)
        after_turn = self._gone(block.at_turn[numbers], way_um - block.to_turn_um[numbers])
        return np.where(since_s <= block.turns_s[numbers], before_turn, after_turn)

    def _gone(self, taken_up: Vector, way_um: Vector) -> Vector:
        """Go one way from a state."""
        return np.clip(taken_up - way_um / self._lost_um, 0.0, 1.0)

    def _work_out(self, block: int, taken_up: float) -> tuple[_Block, float]:
        legs = self._wave.legs(block)
        numbers, turns_s = np.arange(len(legs.starts_s)), legs.turns_s()
        to_turn_um, whole_um = legs.way_um(numbers, turns_s), legs.way_um(numbers, legs.lengths_s())
        parts = np.column_stack([to_turn_um, whole_um - to_turn_um]).ravel() / self._lost_um
        states = [*accumulate(parts.tolist(), lambda state, part: min(max(state - part, 0.0), 1.0), initial=taken_up)]
        at_start, at_turn = np.array(states[:-1]).reshape(-1, 2).T
        return _Block(legs, turns_s, to_turn_um, at_start, at_turn), states[-1]
