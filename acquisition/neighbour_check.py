"""Tiles that show something else than their neighbours do where they overlap: looked for a row later.

That two tiles do not match says little by itself: a blank strip matches nothing, a lattice matches everywhere and is
refused for that. It is suspicious where structure stands out of the noise on both sides and still hardly correlates.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.journal import Attempt
from acquisition.places import Place, Places
from acquisition.run_store import RunStore
from reconstruction.registration import Edge
from reconstruction.strip_pair import signal_to_noise
from reconstruction.strips import high_passed, windows

TEXTURED = 0.6
"""Correlation that two strips would have if they showed the same, by their noise."""
CONTRADICTS = 0.5
"""Of that correlation; what they have is less."""
LEAST_STRIP_PX = 16
TELLING_EDGES = 6
"""Overlaps with structure on both sides of which not one matches, before the camera's matrix is doubted."""
MOST_LOOKED_AT = 24


@dataclass(frozen=True)
class _Taken:
    attempt: Attempt
    place: Place


class NeighbourCheck:
    """Follows a run and finds tiles that none of their textured neighbours match."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._where = Places.of_run(store.plan, store.rig)
        self._taken: dict[int, _Taken] = {}
        self._read = 0
        self._judged: set[tuple[int, int]] = set()  # tile and attempt

    def suspects(self, up_to_row: int) -> list[tuple[int, str]]:
        """Tiles up to a row that are suspicious, and why; each frame is judged once, when the worker has registered it.

        Those of the last row that was taken have not met all their neighbours yet; ask for the row before. A neighbour
        that matches nobody itself does not count.
        """
        self._read_attempts()
        waiting = [tile for tile, taken in self._taken.items() if taken.attempt.row <= up_to_row and self._is_new(tile)]
        edges: defaultdict[int, list[Edge]] = defaultdict(list)
        for edge in self._store.journal.edges(since=min(waiting, default=0)) if waiting else []:
            edges[edge.a].append(edge)
            edges[edge.b].append(edge)
        vouched = {tile for tile, found in edges.items() if any(edge.accepted for edge in found)}
        suspicious = []
        for tile in waiting:
            if edges[tile]:
                self._judged.add((tile, self._taken[tile].attempt.attempt))
                others = [edge for edge in edges[tile] if edge.a + edge.b - tile in vouched]
                if contradicting := unmatched(others, self._expected_ncc):
                    names = ", ".join(str(edge.a + edge.b - tile) for edge in contradicting)
                    reason = f"unmatched: it shows something else than tile {names} where they overlap"
                    suspicious.append((tile, reason))
        return suspicious

    def nothing_matches(self) -> str | None:
        """Why the camera's matrix is to be doubted: along a direction, of many overlaps that show something none fits.

        One that is far off, turned or mirrored has the strips compared show different parts of the specimen.
        """
        edges = self._store.journal.edges()
        self._read_attempts()
        known = [edge for edge in edges if edge.a in self._taken and edge.b in self._taken]
        for within_row, where in ((True, "within rows"), (False, "between rows")):
            some = [edge for edge in known if self._is_within_row(edge) is within_row]
            if any(edge.accepted for edge in some):
                continue
            if sum(map(self._contradicts, some[:MOST_LOOKED_AT])) >= TELLING_EDGES:
                return (
                    f"none of {len(some)} overlaps {where} matches, though they show something:"
                    " is camera_to_stage_um right, its size, its turn, its signs?"
                )
        return None

    def _is_within_row(self, edge: Edge) -> bool:
        return self._taken[edge.a].attempt.row == self._taken[edge.b].attempt.row

    def _contradicts(self, edge: Edge) -> bool:
        expected = self._expected_ncc(edge)
        return expected >= TEXTURED and edge.score < CONTRADICTS * expected

    def _is_new(self, tile: int) -> bool:
        return (tile, self._taken[tile].attempt.attempt) not in self._judged

    def _read_attempts(self) -> None:
        for number, attempt in self._store.journal.attempts(after=self._read):
            self._read = number
            place = self._where.of(attempt)
            if attempt.frame is not None and place is not None:
                self._taken[attempt.tile] = _Taken(attempt, place)

    def _expected_ncc(self, edge: Edge) -> float:
        """What the overlap of two tiles would correlate like if both showed the same."""
        first, second = self._taken[edge.a], self._taken[edge.b]
        step_um = second.place.x_um - first.place.x_um, second.place.y_um - first.place.y_um
        x_px, y_px = self._store.field_as_measured().to_px(step_um)
        cut = windows(self._store.field.shape_px, (float(y_px), float(x_px)), reach_px=0)
        if cut is None:
            return 0.0
        return expected_ncc(self._pixels(first)[cut.first], self._pixels(second)[cut.second])

    def _pixels(self, taken: _Taken) -> NDArray[Any]:
        assert taken.attempt.frame is not None
        return np.asarray(zarr.open_array(self._store.path / "raw.zarr", mode="r")[taken.attempt.frame])


def unmatched(edges: list[Edge], expected: Callable[[Edge], float]) -> list[Edge]:
    """The edges of a tile by which it is suspicious: all between textured strips, when none of them matches."""
    if any(edge.accepted for edge in edges):
        return []
    textured = [edge for edge in edges if expected(edge) >= TEXTURED]
    if all(edge.score < CONTRADICTS * expected(edge) for edge in textured):
        return textured
    return []


def expected_ncc(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Correlation of two strips (y, x) that differ by noise alone, judged from that noise."""
    if min(first.shape) < LEAST_STRIP_PX:
        return 0.0
    ratios = [signal_to_noise(high_passed(strip)) for strip in (first, second)]
    return math.sqrt(math.prod(ratio / (1 + ratio) for ratio in ratios))
