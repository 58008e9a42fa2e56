"""Drift of the specimen: an anchor field is visited again and again, and where it has gone, later targets follow.

The more quickly the specimen drifts, the sooner is the next visit. A visit lands on the anchor a few times, for every
landing of a stage has an error of its own.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.anchor import Anchor, AnchorLost, Vector
from acquisition.drift_line import DriftLine, Visit
from acquisition.focus_map import spread
from acquisition.instructions import Instructions
from acquisition.journal import Event
from acquisition.plan import Plan
from acquisition.steps import Overcome, once
from devices.rig import Rig

REFERENCE = "anchor.npy"
MOST_ANCHORS = 5
"""Fields that are tried one after the other, if the first shows nothing that can be recognised."""
TRIES = 2
"""Of a visit: the first may have failed by an accident."""
BESIDE_PART = 0.4
"""Of the field: how far beside the place an anchor is looked for that is not found there, in eight directions. What one
look reaches, a quarter of the field, then overlaps with what the next one does."""
LEAST_LANDINGS = 2
MOST_LANDINGS = 8
"""Of a visit: half a second, at intervals of some 20 s or more."""
FIRST_LANDINGS = 25
"""Of the first visit, whose error stays with all that follow."""
ERROR_PART = 1 / 3
"""Of the tolerance: a visit that is known as well as that needs no more landings."""
LEAST_ERROR_PX = 0.02
"""Of a visit, however well its landings agree: registration is no better."""
NM_PER_MIN = 1e3 * 60.0


def drift_problems(plan: Plan, limits_um: Mapping[str, tuple[float, float]]) -> list[str]:
    """Why the anchor that a plan names cannot be visited by a scanner with these limits."""
    if plan.drift.policy == "none" or plan.drift.anchor_um is None:
        return []
    found = []
    for axis, place_um in zip("xy", plan.drift.anchor_um, strict=True):
        low_um, high_um = limits_um.get(axis, (-math.inf, math.inf))
        if not low_um <= place_um <= high_um:
            found.append(f"drift.anchor_um: {axis} = {place_um:g} is outside {low_um:g}..{high_um:g} um")
    return found


class DriftControl:
    """Measures drift and says by how much to move targets; for the engine's thread."""

    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        camera_to_stage_um: Vector,
        fields_um: Sequence[tuple[float, float]],
        told: Instructions,
        note: Callable[..., None],
        folder: Path,
        history: Iterable[Event] = (),
        now_s: Callable[[], float] = time.monotonic,
        beat: Callable[[], None] = lambda: None,
        steps: Overcome = once,
    ) -> None:
        """Move nothing yet.

        Args:
            camera_to_stage_um: (2, 2), specimen (x, y) in um per pixel (x, y).
            fields_um: centres (x, y) of fields that may serve as anchor if the plan names none, the best first.
            note: writes an event into the journal.
            folder: of the run; the reference frame is kept there.
            history: events of the run so far, if it is resumed.
            beat: called before each landing, as a sign of life.
            steps: does each landing.
        """
        self._settings, self._told, self._note = plan.drift, told, note
        self._now_s, self._beat, self._steps = now_s, beat, steps
        self._anchor = Anchor(rig, camera_to_stage_um, folder / REFERENCE)
        self._tolerance_um = plan.drift.tolerance_px * self._anchor.pixel_um
        self._fields_um = [plan.drift.anchor_um] if plan.drift.anchor_um else _first_and_others(fields_um)
        self._place_um: Vector | None = None  # the target at which the reference was seen, landing errors apart
        self._scatter = _Scatter()
        self._waited_s = 0.0  # after the last of the visits that failed in a row
        self._next_s = math.inf
        self._line = DriftLine(
            self._tolerance_um, plan.drift.shortest_s, plan.drift.longest_s, self._recalled_offset_um(history)
        )

    @property
    def offset_um(self) -> tuple[float, float]:
        """By how much (x, y) a target has to be moved at this moment to meet the same place of the specimen."""
        x_um, y_um = self._line.offset_um(self._now_s())
        return float(x_um), float(y_um)

    def prepare(self) -> None:
        """Take the reference or, in a run that is resumed, see where its anchor has gone.

        Without a field that can be recognised the run goes on uncorrected; the journal says so.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed.
            OSError: the reference cannot be stored.
        """
        if self._settings.policy == "none":
            return
        if self._place_um is not None and self._anchor.has_reference:
            self.measure()
            return
        for field_um in self._fields_um:
            began_s = self._now_s()
            try:
                self._begin_at(np.array(field_um))
                return
            except AnchorLost as lost:
                self._refuse(began_s, np.array(field_um), str(lost))

    def due(self) -> bool:
        """Whether it is time for the next visit."""
        return self._now_s() >= self._next_s

    def measure(self) -> None:
        """Visit the anchor; a visit that makes no sense is made once more, and then the next is waited for.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed.
        """
        assert self._place_um is not None
        if not self._found_at(self._place_um) and not self._found_around(self._place_um):
            self._wait_longer()

    def _begin_at(self, field_um: Vector) -> None:
        """Take the reference at a field, and find the target that leads there on average."""
        offset_um = np.array(self.offset_um)
        began_s = self._now_s()
        self._beat()
        self._steps(lambda: self._anchor.take_reference(field_um + offset_um))
        shift_um, score, landings = self._shift_um(field_um + offset_um, FIRST_LANDINGS)
        self._place_um = field_um - shift_um
        self._take_note(began_s, offset_um, landings, score)

    def _found_at(self, place_um: Vector) -> bool:
        for _ in range(TRIES):
            began_s = self._now_s()
            try:
                self._visit(place_um)
            except AnchorLost as lost:
                self._refuse(began_s, place_um, str(lost))
            else:
                return True
        return False

    def _found_around(self, place_um: Vector) -> bool:
        """Look for an anchor that has slipped out of sight."""
        for direction in filter(any, product((-1, 0, 1), repeat=2)):
            with suppress(AnchorLost):
                self._visit(place_um, BESIDE_PART * self._anchor.field_um * np.array(direction))
                return True
        return False

    def _visit(self, place_um: Vector, beside_um: Vector | float = 0.0) -> None:
        offset_um = np.array(self.offset_um) + beside_um
        began_s = self._now_s()
        shift_um, score, landings = self._shift_um(place_um + offset_um, MOST_LANDINGS)
        self._take_note(began_s, offset_um - shift_um, landings, score)

    def _shift_um(self, target_um: Vector, most: int) -> tuple[Vector, float, int]:
        """Median shift of as many landings as it takes, the least score, and how many there were."""
        shifts_um: list[Vector] = []
        scores: list[float] = []
        while len(shifts_um) < most:
            self._told.wait(0.0)
            self._beat()
            shift_um, score = self._steps(lambda: self._anchor.shift_at_um(target_um))
            shifts_um.append(shift_um)
            scores.append(score)
            enough_um = ERROR_PART * self._tolerance_um
            learned = self._scatter.with_these(shifts_um)
            if len(shifts_um) >= LEAST_LANDINGS and learned.error_um(len(shifts_um)) <= enough_um:
                break
        self._scatter = learned
        return np.median(shifts_um, axis=0), min(scores), len(shifts_um)

    def _take_note(self, began_s: float, offset_um: Vector, landings: int, score: float) -> None:
        assert self._place_um is not None
        now_s = self._now_s()
        error_um = max(self._scatter.error_um(landings), LEAST_ERROR_PX * self._anchor.pixel_um)
        slipped = self._line.add(Visit((began_s + now_s) / 2, offset_um, error_um))
        self._waited_s = 0.0
        self._next_s = now_s + self._line.interval_s
        rate = self._line.rate_um_per_s * NM_PER_MIN
        self._note(
            "drift_measured",
            x_um=float(offset_um[0]),
            y_um=float(offset_um[1]),
            uncertainty_um=error_um,
            rate_x_nm_per_min=float(rate[0]),
            rate_y_nm_per_min=float(rate[1]),
            score=score,
            landings=landings,
            slipped=slipped,
            next_s=self._line.interval_s,
            took_s=round(now_s - began_s, 3),
            anchor_x_um=float(self._place_um[0]),
            anchor_y_um=float(self._place_um[1]),
        )

    def _refuse(self, began_s: float, place_um: Vector, reason: str) -> None:
        x_um, y_um = self.offset_um
        took_s = round(self._now_s() - began_s, 3)
        anchor = {"anchor_x_um": float(place_um[0]), "anchor_y_um": float(place_um[1])}
        self._note("drift_refused", reason=f"anchor: {reason}", x_um=x_um, y_um=y_um, took_s=took_s, **anchor)

    def _wait_longer(self) -> None:
        """Come back after twice the time that was waited before."""
        self._waited_s = min(max(2 * self._waited_s, self._settings.shortest_s), self._settings.longest_s)
        self._next_s = self._now_s() + self._waited_s

    def _recalled_offset_um(self, history: Iterable[Event]) -> tuple[float, float]:
        """Find the last offset and the anchor's place in the journal of a run that is resumed."""
        offset_um = (0.0, 0.0)
        for event in history:
            if event.kind == "drift_measured":
                data: dict[str, Any] = event.data
                offset_um = data["x_um"], data["y_um"]
                self._place_um = np.array([data["anchor_x_um"], data["anchor_y_um"]])
        return offset_um


def _first_and_others(fields_um: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Choose the first field, and others far from each other."""
    others = [i for i in spread(fields_um, MOST_ANCHORS) if i > 0]
    return [fields_um[0], *(fields_um[i] for i in others)]


@dataclass(frozen=True)
class _Scatter:
    """How far landings at one target lie apart, learned from all visits."""

    squares_um2: float = 0.0
    freedom: int = 0

    def with_these(self, places_um: Sequence[Vector]) -> "_Scatter":
        """Learn from the places (x, y) of one visit, two or more."""
        away_um = np.array(places_um) - np.mean(places_um, axis=0)
        return _Scatter(self.squares_um2 + float(np.square(away_um).sum()), self.freedom + 2 * (len(places_um) - 1))

    def error_um(self, landings: int) -> float:
        """Standard error of the mean of so many landings, along an axis."""
        return math.sqrt(self.squares_um2 / max(self.freedom, 1) / landings)
