"""How the displacement of two tiles varies over their overlap, kept small: all edges of a run are kept till its end."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECIMALS = 4


class LocalShift(NamedTuple):
    """Displacement (dx, dy) of tile `b` relative to `a`, px, as seen in one part of their overlap.

    The part lies around (a_x, a_y) in `a` and (b_x, b_y) in `b`; -1 and 1 are the outermost pixels of a tile. `xx`,
    `xy`, `yy` say how well the displacement is determined: the inverse of its covariance, 1/px².
    """

    a_x: float
    a_y: float
    b_x: float
    b_y: float
    dx_px: float
    dy_px: float
    xx: float
    xy: float
    yy: float


class LocalShifts:
    """A sequence of `LocalShift`, a tenth as large as one of objects; equal if all its numbers are."""

    __slots__ = ("_packed",)

    def __init__(self, parts: ArrayLike | Iterable[LocalShift] = ()) -> None:
        """Take a table (parts, 9), or the parts one by one."""
        table = np.asarray(parts if isinstance(parts, np.ndarray) else list(parts), np.float32)  # type: ignore[arg-type]
        self._packed = table.reshape(-1, len(LocalShift._fields)).tobytes()

    def table(self) -> NDArray[np.float64]:
        """All numbers (parts, 9), rounded to `DECIMALS`."""
        flat = np.frombuffer(self._packed, np.float32).astype(np.float64)
        return np.asarray(np.round(flat.reshape(-1, len(LocalShift._fields)), DECIMALS))

    def __len__(self) -> int:
        return len(self._packed) // (4 * len(LocalShift._fields))

    def __iter__(self) -> Iterator[LocalShift]:
        return (LocalShift(*row) for row in self.table().tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalShifts) and self._packed == other._packed

    def __hash__(self) -> int:
        return hash(self._packed)


NOWHERE = LocalShifts()
"""Of an overlap that was not looked at in parts."""
