"""What became of each tile of a plan."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from acquisition.journal import Attempt
from acquisition.overlap import PlannedTile

Fate = Literal["ok", "retried", "flagged", "skipped", "failed", "missing"]
FATES: tuple[Fate, ...] = ("ok", "retried", "flagged", "skipped", "failed", "missing")


@dataclass(frozen=True)
class TileFate:
    """A tile, its attempts in their order, and what came of them.

    `retried`: taken at a later attempt. `flagged`: taken, but doubtful for its frame or its focus.
    `failed`: tried, not taken, and not given up as skipped. `missing`: not tried yet.
    """

    tile: PlannedTile
    attempts: Sequence[Attempt]
    fate: Fate

    @property
    def taken(self) -> Attempt | None:
        """The attempt that was accepted."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.verdict == "ok"), None)

    @property
    def reasons(self) -> list[str]:
        """Why it is not simply `ok`, each reason once."""
        return list(dict.fromkeys(attempt.reason for attempt in self.attempts if attempt.reason))


def tile_fates(planned: Iterable[PlannedTile], attempts: Iterable[Attempt]) -> list[TileFate]:
    """Every planned tile in its order."""
    of_tile: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        of_tile[attempt.tile].append(attempt)
    return [TileFate(tile, of_tile[tile.index], _fate(of_tile[tile.index])) for tile in planned]


def _fate(attempts: Sequence[Attempt]) -> Fate:
    if not attempts:
        return "missing"
    taken = [attempt for attempt in attempts if attempt.verdict == "ok"]
    if not taken:
        return "skipped" if attempts[-1].verdict == "skipped" else "failed"
    if taken[-1].reason and taken[-1].retake is None:
        return "flagged"
    return "retried" if len(attempts) > 1 else "ok"
