"""What moves the image through focus, and how sharp it is at heights along the way."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from acquisition.focus_clearance import LIFT_UM, TripWire, carries_probe, floor_um
from acquisition.force_errors import ForceTripped
from acquisition.instructions import Instructions
from acquisition.plan import Plan
from acquisition.steps import Overcome, once
from acquisition.switched_off import move_to
from devices.errors import DeviceError
from devices.protocols import Camera, Positioner
from devices.rig import Rig
from devices.rig_file import RigSettings
from devices.troubles import overcome
from reconstruction.sharpness import sharpness

Z = "z"
RUN_IN_UM = 3.0
"""How far beyond its target the axis comes from: more than the play of a stage that repeats within 1 um."""


def focus_problems(plan: Plan, rig: RigSettings) -> list[str]:
    """Why a plan's focus cannot be sought on this rig, as far as its file tells."""
    if plan.focus.policy == "none":
        return []
    if plan.force.policy != "none" and carries_probe(rig):
        policy, force = f"focus.policy = {plan.focus.policy!r}", f"force.policy = {plan.force.policy!r}"
        return [f"{policy}: the focus stage carries the probe, and {force} its height"]
    if rig.devices.focus is None and not _scanner_could_search(plan, rig):
        return [_nothing_searches(plan)]
    return []


def focus_warnings(plan: Plan, rig: RigSettings) -> list[str]:
    """What a search cannot do on this rig, though it may find the focus all the same."""
    if plan.focus.policy == "none" or not carries_probe(rig) or rig.devices.focus is None:
        return []
    if getattr(rig.devices.force, "clear_above_um", None) is not None:
        return []
    return [
        f"focus.policy = {plan.focus.policy!r}: the focus stage carries the probe, so the focus is sought only upwards "
        "from where it stands; devices.force.clear_above_um says how low it may go"
    ]


def focus_inabilities(plan: Plan, rig: Rig) -> list[str]:
    """What a plan without `focus_problems` asks of an open rig that it cannot do."""
    if plan.focus.policy == "none" or rig.focus is not None or _scanner_may_search(plan, rig):
        return []
    return [_nothing_searches(plan)]


def _nothing_searches(plan: Plan) -> str:
    return (
        f"focus.policy = {plan.focus.policy!r}: the rig has no focus stage, and no z of the scanner that is clear of a "
        f"probe and can search focus.range_um = {plan.focus.range_um:g} around where it stands"
    )


def _scanner_could_search(plan: Plan, rig: RigSettings) -> bool:
    """Tell whether the scanner's z could search somewhere; what the file leaves open, could be."""
    scanner = rig.devices.scanner
    if rig.devices.force is not None or Z not in getattr(scanner, "axes", Z):
        return False
    low_um, high_um = getattr(scanner, "limits_um", {}).get(Z, (-math.inf, math.inf))
    return bool(high_um - low_um >= plan.focus.range_um)


def _scanner_may_search(plan: Plan, rig: Rig) -> bool:
    if rig.force is not None or Z not in rig.scanner.axes:
        return False
    low_um, high_um = rig.scanner.limits_um[Z]
    here_um = rig.scanner.read_position_um()[Z]
    return min(here_um - low_um, high_um - here_um) >= plan.focus.range_um / 2


class FocusAxis:
    """One axis that comes to every height from the same side, away from what it could run into."""

    def __init__(
        self,
        axis: Positioner,
        camera: Camera,
        told: Instructions,
        beat: Callable[[], None],
        run_in_um: float,
        steps: Overcome = once,
        start_um: float | None = None,
    ) -> None:
        self._axis, self._camera, self._told = axis, camera, told
        self._beat, self._run_in_um, self._steps = beat, run_in_um, steps
        self.start_um = axis.read_position_um()[Z] if start_um is None else start_um
        self.limits_um = axis.limits_um[Z]
        self.at_um: float | None = None
        """Where it was sent; None as long as it may be anywhere."""
        self._has_run_in = False
        self._carries_probe = False
        self._trip_wire: TripWire | None = None
        self._tripped = False

    @classmethod
    def chosen(
        cls,
        plan: Plan,
        rig: Rig,
        told: Instructions,
        beat: Callable[[], None],
        note: Callable[..., None] = lambda kind, **data: None,
        steps: Overcome = once,
        start_um: float | None = None,
    ) -> "FocusAxis | None":
        """Choose the scanner, which is finer, where there is no probe to run into; else the focus stage, if any.

        The scanner comes from below; the focus stage, whose objective hangs above the specimen, from above. One that
        carries a probe has a floor and a trip-wire (see `focus_clearance`). `start_um`: where the run found it, if it
        has begun before; where it stands now, a search may have left it.
        """
        if _scanner_may_search(plan, rig):
            return cls(rig.scanner, rig.camera, told, beat, -RUN_IN_UM, steps, start_um)
        if rig.focus is None:
            return None
        stage = cls(rig.focus, rig.camera, told, beat, RUN_IN_UM, steps, start_um)
        if carries_probe(rig.settings):
            low_um, high_um = stage.limits_um
            stage.limits_um = max(low_um, floor_um(rig.settings, stage.start_um)), high_um
            stage._carries_probe = True
            if rig.force is not None:
                stage._trip_wire = TripWire(rig, plan.force.limit_nn, stage.start_um + LIFT_UM, note)
        return stage

    def lift_back(self) -> None:
        """Take a probe back to the height where it was found: not down to it if the force has shown meanwhile.

        Raises:
            DeviceError: the stage failed twice.
        """
        if not self._carries_probe:
            return
        try:
            self._lift_back()
        except DeviceError as trouble:
            overcome(trouble)
            self._lift_back()

    def _lift_back(self) -> None:
        away_um = self._axis.read_position_um()[Z] - self.start_um
        if away_um < 0 or (away_um > RUN_IN_UM and not self._tripped):
            self.at_um = None
            self._go_to(self.start_um, 0.0)
            self.at_um = None  # whoever goes on has to come back

    def scores_at(self, heights_um: Sequence[float]) -> list[float]:
        """Expose at each of the heights and score each image.

        Raises:
            Cut: the run was told something else.
            ForceTripped: the probe that the stage carries is not free; it was lifted.
            DeviceError: a device failed.
        """
        visited_um = sorted(heights_um, reverse=self._run_in_um > 0)
        self._has_run_in = False
        scores = {height_um: self._steps(partial(self._score_at, height_um)) for height_um in visited_um}
        return [scores[height_um] for height_um in heights_um]

    def go_to(self, height_um: float, tolerance_um: float) -> None:
        """Go to a height, or as near as the limits allow, unless the axis was sent there give or take the tolerance.

        Raises:
            Cut, ForceTripped, DeviceError: as `scores_at`.
        """
        self._steps(lambda: self._go_to(self._inside(height_um), tolerance_um))

    def _go_to(self, height_um: float, tolerance_um: float) -> None:
        if self.at_um is None or abs(height_um - self.at_um) > tolerance_um:
            self._run_in(height_um)
            self._move_to(height_um)
            self.at_um = height_um

    def _run_in(self, height_um: float) -> None:
        self.at_um = None
        self._move_to(self._inside(height_um + self._run_in_um))

    def _move_to(self, height_um: float) -> None:
        move_to(self._axis, height_um)
        if self._trip_wire is None:
            return
        try:
            self._trip_wire.see_free()
        except ForceTripped:
            self._tripped = True
            raise

    def _inside(self, height_um: float) -> float:
        low_um, high_um = self.limits_um
        return min(max(height_um, low_um), high_um)

    def _score_at(self, height_um: float) -> float:
        self._told.wait(0.0)
        self._beat()
        if not self._has_run_in:
            self._run_in(height_um)
        self._has_run_in = False  # unless all goes well, it comes from wherever that ended
        self._move_to(height_um)
        pixels = self._camera.snap().pixels
        self._has_run_in = True
        return sharpness(pixels)
