"""How the displacement of two tiles varies over their overlap, kept small: all edges of a run are kept till its end."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reconstruction.shelf import Shelf, Shelved

DECIMALS = 4
PLACES = 4  # of the numbers of a part; the others are far greater than 1
PACKED = np.dtype([("places", np.int16, PLACES), ("others", np.float32, 5)])


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
        """Take a table (parts, 9), or the parts one by one; places are rounded to `DECIMALS`."""
        table = np.asarray(parts if isinstance(parts, np.ndarray) else list(parts), np.float64)  # type: ignore[arg-type]
        table = table.reshape(-1, len(LocalShift._fields))
        packed = np.empty(len(table), PACKED)
        packed["places"] = np.rint(table[:, :PLACES] * 10**DECIMALS)
        packed["others"] = table[:, PLACES:]
        self._packed: bytes | Shelved = packed.tobytes()

    def on(self, shelf: Shelf) -> "LocalShifts":
        """Put them on a shelf."""
        if not self:
            return self
        shelved = LocalShifts()
        shelved._packed = shelf.put(bytes(self._packed))
        return shelved

    def table(self) -> NDArray[np.float64]:
        """All numbers (parts, 9), rounded to `DECIMALS`."""
        packed = np.frombuffer(bytes(self._packed), PACKED)
        others = np.round(packed["others"].astype(np.float64), DECIMALS)
        return np.concatenate([packed["places"] / 10**DECIMALS, others], axis=1)

    def __len__(self) -> int:
        return len(self._packed) // PACKED.itemsize

    def __iter__(self) -> Iterator[LocalShift]:
        return (LocalShift(*row) for row in self.table().tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalShifts) and bytes(self._packed) == bytes(other._packed)

    def __hash__(self) -> int:
        return hash(bytes(self._packed))


NOWHERE = LocalShifts()
"""Of an overlap that was not looked at in parts."""
