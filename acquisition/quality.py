"""Whether a tile is good enough, and what becomes of it if not: noted, or taken again as long as the budget lasts."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acquisition.field import Field
from acquisition.frame_flaws import Flaw, Pixels, black, flat, frozen, mean_and_spread, saturated, unsharp
from acquisition.journal import Attempt, both_reasons
from acquisition.plan import Quality

USUAL_OF = 25
"""Tiles before, whose median is the usual: enough to be steady, few enough to follow the specimen."""
LEAST_USUAL = 5
CAUSE = "quality"
STAYS = "the frame before stays"
"""Of a tile that was to be taken once more, and gave no good frame."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What to record. `again`: without the frame, and the tile is to be taken once more, now."""

    attempt: Attempt
    pixels: Pixels | None
    again: bool


class QualityControl:
    """Judges the frames of one run in the order in which they were taken."""

    def __init__(self, settings: Quality, field: Field, tiles: int, history: Sequence[Attempt] = ()) -> None:
        """Begin a run of so many tiles, or go on with one.

        Args:
            history: the attempts that its journal holds.
        """
        self._settings = settings
        self._field = field
        self._budget = round(settings.budget * tiles)
        self._retakes: Counter[int] = Counter()
        self._usual: deque[tuple[float, float]] = deque(maxlen=USUAL_OF)
        self._last: tuple[Attempt, Pixels] | None = None
        self._best: dict[int, tuple[Flaw, Attempt, Pixels]] = {}
        for attempt in history:
            if attempt.verdict == "retry" and attempt.cause == CAUSE:
                self._count(attempt.tile)
            elif attempt.verdict == "ok" and attempt.reason is None and attempt.mean and attempt.sd:
                self._usual.append((attempt.mean, attempt.sd))

    def judge(self, attempt: Attempt, pixels: Pixels) -> Judged:
        """Say what becomes of an attempt that gave a frame (y, x) without any failure."""
        if self._settings.policy == "none":
            return Judged(attempt, pixels, again=False)
        if attempt.retake is not None:
            return self._judge_retake(attempt, pixels)
        flaw = self._flaw(attempt, pixels)
        if flaw is not None and self._settings.policy == "retake":
            return self._judge_again(flaw, attempt, pixels)
        self._accept(attempt, pixels, flaw)
        if flaw is not None:
            attempt = replace(attempt, reason=both_reasons(attempt.reason, flaw.reason))
        return Judged(attempt, pixels, again=False)

    def may_retake(self, tile: int) -> bool:
        """Whether a tile may be taken once more; if so, it counts as done."""
        if self._settings.policy != "retake" or self._retakes[tile] >= self._settings.retakes or self._budget <= 0:
            return False
        self._count(tile)
        return True

    def _judge_retake(self, attempt: Attempt, pixels: Pixels) -> Judged:
        """Keep the frame before of a tile that somebody wants once more, if something is wrong with this one."""
        flaw = self._flaw(attempt, pixels)
        if flaw is None:
            self._last = attempt, pixels
            return Judged(attempt, pixels, again=False)
        reason = f"{flaw.reason}; {STAYS}"
        return Judged(replace(attempt, verdict="skipped", cause=CAUSE, reason=reason), None, again=False)

    def _judge_again(self, flaw: Flaw, attempt: Attempt, pixels: Pixels) -> Judged:
        """Take it again; when that is used up, keep the least bad frame of the tile."""
        best = self._best.pop(attempt.tile, None)
        if best is None or flaw.badness < best[0].badness:
            best = flaw, attempt, pixels
        if self.may_retake(attempt.tile):
            self._best[attempt.tile] = best
            return Judged(replace(attempt, verdict="retry", cause=CAUSE, reason=flaw.reason), None, again=True)
        flaw, kept, frame = best
        self._accept(kept, frame, flaw)
        took = replace(kept, settle_s=attempt.settle_s, attending_s=attempt.attending_s, total_s=attempt.total_s)
        reason = both_reasons(kept.reason, flaw.reason)
        return Judged(replace(took, attempt=attempt.attempt, reason=reason), frame, again=False)

    def _count(self, tile: int) -> None:
        self._retakes[tile] += 1
        self._budget -= 1

    def _accept(self, attempt: Attempt, pixels: Pixels, flaw: Flaw | None) -> None:
        self._last = attempt, pixels
        self._best.pop(attempt.tile, None)
        if flaw is None:
            self._usual.append(mean_and_spread(pixels))

    def _flaw(self, attempt: Attempt, pixels: Pixels) -> Flaw | None:
        """The worst thing that is wrong with a frame."""
        mean, spread = mean_and_spread(pixels)
        found = [saturated(pixels, self._settings.saturated_part), flat(mean, spread, self._settings.least_contrast)]
        if len(self._usual) >= LEAST_USUAL:
            usual_mean, usual_spread = np.median(self._usual, axis=0)
            found.append(black(mean, spread, usual_mean, usual_spread))
        if self._last is not None:
            before, frame = self._last
            found.append(frozen(pixels, frame))
            if before.exposure_s == attempt.exposure_s:
                found.append(unsharp(pixels, frame, self._step_px(before, attempt), self._settings.least_focus))
        return max((flaw for flaw in found if flaw is not None), key=lambda flaw: flaw.badness, default=None)

    def _step_px(self, before: Attempt, attempt: Attempt) -> tuple[float, float]:
        """From one frame to the next, (x, y), as it was planned: a strip may be off by a few pixels."""
        moved_um = attempt.target_x_um - before.target_x_um, attempt.target_y_um - before.target_y_um
        x_px, y_px = self._field.to_px(moved_um)
        return float(x_px), float(y_px)
