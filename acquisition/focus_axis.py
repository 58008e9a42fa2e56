"""What moves the image through focus, and how sharp it is at heights along the way."""

import math
from collections.abc import Callable, Sequence

from acquisition.instructions import Instructions
from acquisition.plan import Plan
from devices.protocols import Camera, Positioner
from devices.rig import Rig
from devices.rig_file import RigSettings
from reconstruction.sharpness import sharpness

Z = "z"
RUN_IN_UM = 3.0
"""How far beyond its target the axis comes from: more than the play of a stage that repeats within 1 um."""


def focus_problems(plan: Plan, rig: RigSettings) -> list[str]:
    """Why a plan's focus cannot be sought on this rig, as far as its file tells."""
    if plan.focus.policy == "none":
        return []
    if plan.force.policy != "none" and _carries_probe(rig):
        policy, force = f"focus.policy = {plan.focus.policy!r}", f"force.policy = {plan.force.policy!r}"
        return [f"{policy}: the focus stage carries the probe, and {force} its height"]
    if rig.devices.focus is None and not _scanner_could_search(plan, rig):
        return [_nothing_searches(plan)]
    return []


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


def _carries_probe(rig: RigSettings) -> bool:
    """Tell whether the focus stage lowers a probe; a sensor that does not say what it rides on counts as one."""
    return rig.devices.force is not None and getattr(rig.devices.force, "rides_on", "focus") == "focus"


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
        self, axis: Positioner, camera: Camera, told: Instructions, beat: Callable[[], None], run_in_um: float
    ) -> None:
        self._axis, self._camera, self._told = axis, camera, told
        self._beat, self._run_in_um = beat, run_in_um
        self.start_um = axis.read_position_um()[Z]
        self.limits_um = axis.limits_um[Z]
        self.at_um: float | None = None
        """Where it was sent; None as long as it may be anywhere."""

    @classmethod
    def chosen(cls, plan: Plan, rig: Rig, told: Instructions, beat: Callable[[], None]) -> "FocusAxis | None":
        """Choose the scanner, which is finer, where there is no probe to run into; else the focus stage, if any.

        The scanner comes from below; the focus stage, whose objective hangs above the specimen, from above. One that
        carries a probe is not lowered by more than the range of a search.
        """
        if _scanner_may_search(plan, rig):
            return cls(rig.scanner, rig.camera, told, beat, -RUN_IN_UM)
        if rig.focus is None:
            return None
        stage = cls(rig.focus, rig.camera, told, beat, RUN_IN_UM)
        if _carries_probe(rig.settings):
            low_um, high_um = stage.limits_um
            stage.limits_um = max(low_um, stage.start_um - plan.focus.range_um), high_um
        return stage

    def scores_at(self, heights_um: Sequence[float]) -> list[float]:
        """Expose at each of the heights and score each image.

        Raises:
            Cut: the run was told something else.
            DeviceError: a device failed.
        """
        visited_um = sorted(heights_um, reverse=self._run_in_um > 0)
        self._run_in(visited_um[0])
        scores = {height_um: self._score_at(height_um) for height_um in visited_um}
        return [scores[height_um] for height_um in heights_um]

    def go_to(self, height_um: float, tolerance_um: float) -> None:
        """Go to a height, or as near as the limits allow, unless the axis was sent there give or take the tolerance."""
        height_um = self._inside(height_um)
        if self.at_um is None or abs(height_um - self.at_um) > tolerance_um:
            self._run_in(height_um)
            self._axis.move_to({Z: height_um})
            self.at_um = height_um

    def _run_in(self, height_um: float) -> None:
        self.at_um = None
        self._axis.move_to({Z: self._inside(height_um + self._run_in_um)})

    def _inside(self, height_um: float) -> float:
        low_um, high_um = self.limits_um
        return min(max(height_um, low_um), high_um)

    def _score_at(self, height_um: float) -> float:
        self._told.wait(0.0)
        self._beat()
        self._axis.move_to({Z: height_um})
        return sharpness(self._camera.snap().pixels)
