"""What an axis does from one command to the next, and the track of all it did."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

KEPT_S = 600.0
KEPT = 100_000
"""How long, and how many motions of an axis are remembered."""
FORGET_AT_ONCE = 1000


class Motion(Protocol):
    """One axis, from `start_s` on, unless something else comes."""

    @property
    def start_s(self) -> float:
        """World time of its beginning."""
        ...

    @property
    def target_um(self) -> float:
        """Where it leads."""
        ...

    @property
    def arrives_s(self) -> float:
        """World time from which the axis stands where the motion leads."""
        ...

    def on_target_s(self, settle_s: float) -> float:
        """World time from which the controller calls the axis on target."""
        ...

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        ...

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        ...

    def progress(self, times_s: Vector) -> Vector:
        """The part of the way that lies behind, 0..1; 1 for a motion that goes nowhere."""
        ...

    def resumed(self, time_s: float, position_um: float) -> "Motion":
        """What is left to do for an axis that stands elsewhere at a later time."""
        ...


@dataclass(frozen=True)
class Held:
    """An axis that does not follow: it stays at `position_um` whatever it is told."""

    start_s: float
    position_um: float
    told: Motion

    arrives_s = float("inf")

    @property
    def target_um(self) -> float:
        """Where the axis ought to go."""
        return self.told.target_um

    def on_target_s(self, settle_s: float) -> float:
        """Never."""
        return float("inf")

    def positions_um(self, times_s: Vector) -> Vector:
        """Where the axis is at each of `times_s`."""
        return np.full(len(times_s), self.position_um)

    def targets_um(self, times_s: Vector) -> Vector:
        """Where the axis is told to be at each of `times_s`."""
        return self.told.targets_um(times_s)

    def progress(self, times_s: Vector) -> Vector:
        """Nothing of the way is done."""
        return np.zeros(len(times_s))

    def resumed(self, time_s: float, position_um: float) -> Motion:
        """What is left to do for an axis that stands elsewhere at a later time."""
        return self.told.resumed(time_s, position_um)


class Begun(Protocol):
    """Whatever is valid from a time on."""

    @property
    def start_s(self) -> float:
        """World time of its beginning."""
        ...


Piece = TypeVar("Piece", bound=Begun)


class Track(Generic[Piece]):
    """Pieces in the order of their time; each is valid until the next begins."""

    def __init__(self, first: Piece) -> None:
        self._pieces = [first]
        self._starts_s = [first.start_s]

    @property
    def latest(self) -> Piece:
        """The last that is known, even if it has not begun."""
        return self._pieces[-1]

    def at(self, time_s: float) -> Piece:
        """The piece that is valid at `time_s`; before all that is remembered, the oldest."""
        return self._pieces[max(bisect_right(self._starts_s, time_s) - 1, 0)]

    def between(self, first_s: float, last_s: float) -> list[Piece]:
        """The pieces that are valid at some time between two."""
        begin = max(bisect_right(self._starts_s, first_s) - 1, 0)
        return self._pieces[begin : max(bisect_right(self._starts_s, last_s), begin + 1)]

    def sample(self, times_s: Vector, value: Callable[[Piece, Vector], Vector]) -> Vector:
        """Ask each piece for its value at those of `times_s` at which it is valid."""
        if len(times_s) == 1:
            return value(self.at(float(times_s[0])), times_s)
        pieces = self.between(float(times_s.min()), float(times_s.max()))
        values = value(pieces[0], times_s)
        for piece in pieces[1:]:
            later = times_s >= piece.start_s
            values[later] = value(piece, times_s[later])
        return values

    def begin(self, piece: Piece) -> None:
        """Go on with another piece; whatever would have come later is void."""
        place = bisect_left(self._starts_s, piece.start_s)
        self._pieces[place:] = [piece]
        self._starts_s[place:] = [piece.start_s]
        self._forget(piece.start_s - KEPT_S)

    def cut(self, time_s: float) -> None:
        """Forget what would begin later."""
        place = max(bisect_right(self._starts_s, time_s), 1)
        del self._pieces[place:], self._starts_s[place:]

    def _forget(self, before_s: float) -> None:
        old = max(bisect_right(self._starts_s, before_s) - 1, len(self._pieces) - KEPT)
        if old >= FORGET_AT_ONCE:
            del self._pieces[:old], self._starts_s[:old]
