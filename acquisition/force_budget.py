"""How far the probe may go between two readings, so that no step can take the force past its limit."""

from dataclasses import dataclass, replace
from typing import Self

from acquisition.plan import Force, Plan
from devices.protocols import Steerable
from devices.rig import Rig
from devices.rig_file import RigSettings
from devices.settings import DeflectionSettings

LEAST_STEP_UM = 0.001
"""Above the resolution of a scanner's z (P-733.3: 0.3 nm); smaller steps would not arrive as such."""
MOST_STEP_UM = 0.05
"""However soft the spring: a larger one would run over the last nanometres, where the probe snaps in."""
BASELINE_PART = 0.5
"""Of the limit, either way: what is read without contact and is more may be one, or the zero is wrong."""
LEAST_STEPS_UNSEEN = 2
"""One under way when a reading is taken, and one that is decided by it."""
TRUSTED_PART = 0.9
"""Of the detector's range: a limit near its end would be told as saturation."""
NM_PER_UM = 1000.0


@dataclass(frozen=True)
class Budget:
    """What the regulation of one probe may do."""

    set_point_nn: float
    limit_nn: float
    stiffness_n_per_m: float
    step_um: float
    """Largest step towards the specimen between two readings."""

    @classmethod
    def of(cls, force: Force, sensor: DeflectionSettings) -> Self:
        """Share what lies between set-point and limit among the steps that may go unseen.

        A detector that has stopped is noticed by `frozen_after` equal readings, and each of them allows a step.
        """
        unseen = max(sensor.frozen_after, LEAST_STEPS_UNSEEN)
        step_um = _rise_um(force.limit_nn - force.set_point_nn, sensor) / unseen
        return cls(force.set_point_nn, force.limit_nn, sensor.stiffness_n_per_m, min(step_um, MOST_STEP_UM))

    def above(self, baseline_nn: float) -> Self:
        """Tell what is left for forces that count from a baseline.

        A push that is read without contact may be one after all: then the true force is what the detector tells, and
        the limit is that much nearer. A pull takes nothing off, and adds nothing.
        """
        limit_nn = self.limit_nn - max(baseline_nn, 0.0)
        left = max(limit_nn - self.set_point_nn, 0.0) / (self.limit_nn - self.set_point_nn)
        return replace(self, limit_nn=limit_nn, step_um=left * self.step_um)

    @property
    def is_enough(self) -> bool:
        """Whether the steps that are left would arrive as such."""
        return self.step_um >= LEAST_STEP_UM


def force_problems(plan: Plan, rig: RigSettings) -> list[str]:
    """Every reason why the probe of this rig cannot be held as the plan wants it; empty when it can."""
    force, sensor = plan.force, rig.devices.force
    if force.policy == "none":
        return []
    wanted = f"force.policy = '{force.policy}'"
    found = []
    if plan.tiles.mode == "line":
        found.append(f"{wanted}: a sweep of tiles.mode = 'line' does not wait for the force on the probe; use 'step'")
    if sensor is None:
        return [*found, f"{wanted}: the rig has no force sensor"]
    if not isinstance(sensor, DeflectionSettings):
        return [*found, f"{wanted}: driver {sensor.driver!r} of the force sensor tells no stiffness"]
    least_nn = LEAST_STEP_UM * NM_PER_UM * sensor.stiffness_n_per_m * max(sensor.frozen_after, LEAST_STEPS_UNSEEN)
    if force.limit_nn - force.set_point_nn < least_nn:
        found.append(
            f"force.limit_nn = {force.limit_nn:g}: at {sensor.stiffness_n_per_m:g} N/m the probe can only be brought "
            f"to {force.set_point_nn:g} nN with a limit of {force.set_point_nn + least_nn:g} nN or more"
        )
    if force.limit_nn > (most_nn := trusted_nn(sensor)):
        found.append(f"force.limit_nn = {force.limit_nn:g}: the detector can be trusted up to {most_nn:g} nN")
    if "z" not in getattr(rig.devices.scanner, "axes", "z"):
        found.append(_cannot_steer(force))
    if sensor.rides_on == "focus" and rig.devices.focus is None:
        found.append("devices.force.rides_on = 'focus': the rig has no focus stage")
    return found


def trusted_nn(sensor: DeflectionSettings) -> float:
    """Up to what force the detector can be trusted."""
    return TRUSTED_PART * sensor.saturation_v * sensor.sensitivity_nm_per_v * sensor.stiffness_n_per_m


def force_inabilities(plan: Plan, rig: Rig) -> list[str]:
    """What a plan without `force_problems` asks of an open rig that it cannot do."""
    if plan.force.policy == "none":
        return []
    if "z" not in rig.scanner.axes or not isinstance(rig.scanner, Steerable):
        return [_cannot_steer(plan.force)]
    return []


def _cannot_steer(force: Force) -> str:
    return f"force.policy = '{force.policy}': the scanner has no z that can be steered while it moves"


def _rise_um(force_nn: float, sensor: DeflectionSettings) -> float:
    return force_nn / sensor.stiffness_n_per_m / NM_PER_UM
