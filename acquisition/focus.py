"""Focus during a run: sought when the plan says so, followed in between, and never a reason to end the run.

Where a search finds nothing, or something implausible, the journal says so and the run goes on at the height that was
expected there. A run that is resumed takes from the journal what was measured before.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from acquisition.focus_axis import FocusAxis
from acquisition.focus_map import FocusMap, FocusPoint, contradicting, spread
from acquisition.focus_search import FocusFailed, find_peak
from acquisition.instructions import Instructions
from acquisition.journal import Event
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan
from acquisition.steps import Overcome, once
from devices.rig import Rig

FOUND = "focus_found"  # the event that says where a run found the axis
TOLERANCE = 0.1
"""Of the width of the peak: so far off, an image has lost half a percent of its sharpness."""
LEAST_DOUBT_UM = 0.01
"""As long as no width is known; less than any axis scatters."""
RECENT = 30
"""Measurements through which the plane goes that says what to expect next."""
ENOUGH_FOR_NEAR = 3
"""Measurements after which the next is first looked for close to where it is expected."""
JUMPS_BELIEVED = 3
"""Refused in a row, and in agreement with each other: then it is the expectation that is wrong."""
MAP_AGES_S = 1800.0
"""After which a map is checked at the next row; at 3 nm/min a stage drifts by 0.1 um meanwhile."""


class FocusControl:
    """Keeps a run in focus; for the engine's thread."""

    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        tiles: Sequence[PlannedTile],
        told: Instructions,
        note: Callable[..., None],
        history: Iterable[Event] = (),
        now_s: Callable[[], float] = time.monotonic,
        beat: Callable[[], None] = lambda: None,
        steps: Overcome = once,
    ) -> None:
        """Move nothing yet.

        Args:
            note: writes an event into the journal.
            history: events of the run so far, if it is resumed.
            beat: called before each exposure of a search, as a sign of life.
            steps: does each move, and each exposure of a search.

        Raises:
            DeviceError: the axis does not tell where it is.
        """
        self._scanner, self._settings, self._tiles = rig.scanner, plan.focus, tiles
        self._note, self._now_s, self._steps = note, now_s, steps
        self._axis: FocusAxis | None = None
        if plan.focus.policy != "none":
            history = list(history)
            found: list[Any] = [event.data["z_um"] for event in history if event.kind == FOUND]
            found_um = found[0] if found else None
            self._axis = FocusAxis.chosen(plan, rig, told, beat, note, steps, found_um)
            if self._axis is not None and found_um is None:
                note(FOUND, z_um=self._axis.start_um)
        self._points: dict[int, FocusPoint] = {}  # by tile, in the order in which they were measured
        self._given_up: set[int] = set()  # tiles that are of no use to the map
        self._refused: list[FocusPoint] = []  # in a row
        self._map: FocusMap | None = None
        self._map_check: FocusPoint | None = None  # says how far all of the map has moved since
        self._checked_s: float | None = None
        self._width_um = 0.0
        self._recall(history)
        self._remembered = set(self._points)

    @property
    def z_um(self) -> float | None:
        """Where the axis of focus was sent last; None without a policy, or as long as it may be anywhere."""
        return self._axis.at_um if self._axis else None

    def prepare(self) -> None:
        """Measure what the policy wants to know before the first tile; called again, go on where that was cut short.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed.
        """
        if self._axis is None or self._settings.policy != "map":
            return
        chosen = [self._tiles[i] for i in spread([(t.x_um, t.y_um) for t in self._tiles], self._settings.map_points)]
        for tile in chosen:
            if tile.index not in self._points and tile.index not in self._given_up:
                self._go_to(tile)
                self._measure(self._axis, tile, of_map=True)
        by_point = {point: tile for tile in chosen if (point := self._points.get(tile.index))}
        for point in contradicting(list(by_point), self._settings.largest_jump_um):
            self._refuse(by_point[point], point.z_um, "it contradicts all others", of_map=True)
        if self._points:
            self._map = FocusMap(list(self._points.values()))

    def at_tile(self, tile: PlannedTile, first_of_row: bool) -> str | None:
        """Bring a tile into focus once the scanner stands there; what is doubtful about it, None if nothing is.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed.
        """
        if self._axis is None:
            return None
        if self._is_due(tile, first_of_row):
            self._measure(self._axis, tile, of_map=False)
        measured = self._points.get(tile.index) if self._settings.policy in ("tile", "row") else None
        self._axis.go_to(measured.z_um if measured else self._expected_um(tile), TOLERANCE * self._width_um)
        return None if measured else self._doubt(tile, self._axis.at_um)

    def _doubt(self, tile: PlannedTile, at_um: float | None) -> str | None:
        """Tell of a height that had to be clamped, to the limits of the axis or to what was measured anywhere."""
        wanted_um = self._expected_um(tile, bounded=False)
        if at_um is None or abs(wanted_um - at_um) <= max(2 * TOLERANCE * self._width_um, LEAST_DOUBT_UM):
            return None
        return f"focus: expected at {wanted_um:.6g} um, clamped to {at_um:.6g} um"

    def _go_to(self, tile: PlannedTile) -> None:
        self._steps(lambda: self._scanner.move_to({"x": tile.x_um, "y": tile.y_um}))

    def lift_back(self) -> None:
        """Take a probe that a search has lowered back to where it was found.

        Raises:
            DeviceError: the stage that carries it failed.
        """
        if self._axis is not None:
            self._axis.lift_back()

    def _is_due(self, tile: PlannedTile, first_of_row: bool) -> bool:
        match self._settings.policy:
            case "map":
                overdue = self._checked_s is None or self._now_s() - self._checked_s > MAP_AGES_S
                return overdue and (first_of_row or self._checked_s is None)
            case "tile" | "row" if tile.index in self._remembered:
                self._remembered.discard(tile.index)  # taken again, it is measured again
                return False
            case "tile":
                return True
            case "row":
                return first_of_row or not self._points
        return not self._points

    def _expected_um(self, tile: PlannedTile, bounded: bool = True) -> float:
        """Where the focus ought to be; unless `bounded`, however far from all that was measured."""
        assert self._axis is not None
        points = list(self._points.values())
        if not points:
            return self._map_check.z_um if self._map_check else self._axis.start_um
        if self._map is not None:
            return _at(self._map, tile, bounded) + self._map_shift_um(self._map)
        if self._settings.policy == "once":
            return points[-1].z_um
        recent = FocusMap(points[-RECENT:], self._settings.largest_jump_um, may_bend=False)
        return _at(recent, tile, bounded)

    def _map_shift_um(self, focus_map: FocusMap) -> float:
        check = self._map_check
        return check.z_um - focus_map.z_um(check.x_um, check.y_um) if check else 0.0

    def _measure(self, axis: FocusAxis, tile: PlannedTile, of_map: bool) -> None:
        """Search the focus at a tile where the scanner stands, and keep what is to be believed."""
        expected_um, near = self._expected_um(tile), len(self._points) >= ENOUGH_FOR_NEAR
        began_s = self._now_s()
        try:
            peak = find_peak(axis.scores_at, expected_um, self._settings.range_um, axis.limits_um, near)
            point = FocusPoint(tile.x_um, tile.y_um, peak.z_um)
            if not of_map:  # a map is judged as a whole
                self._refuse_jump(point, expected_um)
        except FocusFailed as failure:
            self._checked_s = self._now_s()
            self._refuse(tile, expected_um, str(failure), of_map, self._checked_s - began_s)
            return
        self._checked_s = self._now_s()
        self._keep(tile.index, point, peak.width_um, of_map)
        self._note(
            "focus_measured",
            tile=tile.index,
            of_map=of_map,
            x_um=tile.x_um,
            y_um=tile.y_um,
            z_um=peak.z_um,
            uncertainty_um=peak.uncertainty_um,
            score=peak.score,
            width_um=peak.width_um,
            expected_um=expected_um,
            took_s=round(self._checked_s - began_s, 3),
        )

    def _refuse_jump(self, point: FocusPoint, expected_um: float) -> None:
        """Refuse what is too far from the expectation, unless that has been said in agreement for some time.

        Raises:
            FocusFailed: the measurement is not to be believed.
        """
        most_um = self._settings.largest_jump_um
        if not self._points or abs(point.z_um - expected_um) <= most_um:
            self._refused.clear()
            return
        self._refused.append(point)
        latest_um = [refused.z_um for refused in self._refused[-JUMPS_BELIEVED:]]
        if len(latest_um) < JUMPS_BELIEVED or max(latest_um) - min(latest_um) > most_um:
            raise FocusFailed(
                f"{point.z_um:.6g} um is more than largest_jump_um = {most_um:g} from {expected_um:.6g} um"
            )
        self._refused.clear()
        self._points = self._points if self._map else {}

    def _keep(self, tile: int, point: FocusPoint, width_um: float, of_map: bool) -> None:
        self._width_um = width_um
        if self._settings.policy == "map" and not of_map:
            self._map_check = point
        else:
            self._points.pop(tile, None)
            self._points[tile] = point

    def _refuse(self, tile: PlannedTile, z_um: float, reason: str, of_map: bool, took_s: float = 0.0) -> None:
        if of_map:
            self._leave_out(tile.index)
        where = {"tile": tile.index, "of_map": of_map, "x_um": tile.x_um, "y_um": tile.y_um}
        self._note("focus_refused", **where, z_um=z_um, reason=reason, took_s=round(took_s, 3))

    def _leave_out(self, tile: int) -> None:
        self._points.pop(tile, None)
        self._given_up.add(tile)

    def _recall(self, history: Iterable[Event]) -> None:
        for event in history:
            data: dict[str, Any] = event.data
            if event.kind == "focus_measured":
                point = FocusPoint(data["x_um"], data["y_um"], data["z_um"])
                self._keep(data["tile"], point, data["width_um"], data["of_map"])
            elif event.kind == "focus_refused" and data["of_map"]:
                self._leave_out(data["tile"])


def _at(surface: FocusMap, tile: PlannedTile, bounded: bool) -> float:
    return (surface.z_um if bounded else surface.unbounded_um)(tile.x_um, tile.y_um)
