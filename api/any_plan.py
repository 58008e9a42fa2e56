"""A plan in a request: one of ours, or a useq MDASequence that is made one as soon as the rig is known."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, RootModel

from acquisition import field
from acquisition.plan import Plan
from acquisition.sequence import is_sequence, sequence_plan
from devices.rig import RigSettings


class Sequence(RootModel[dict[str, Any]]):
    """A useq MDASequence with a `grid_plan`; what a plan cannot say is refused by name."""


def _of_its_kind(keys: Any) -> Any:
    """Read keys as what they are, so that the reasons against them are about that alone."""
    return Sequence(keys) if is_sequence(keys) else Plan.model_validate(keys)


EXAMPLE = {"region": {"x_um": [20, 50], "y_um": [20, 44]}}
AnyPlan = Annotated[Plan | Sequence, BeforeValidator(_of_its_kind), Field(examples=[EXAMPLE])]


def plan_for(asked: Plan | Sequence, settings: RigSettings) -> Plan:
    """The plan that is asked for, on this rig.

    Raises:
        PlanError: a sequence asks for more than a plan can say.
    """
    if isinstance(asked, Plan):
        return asked
    return sequence_plan(asked.root, field.Field.calibrated(settings.calibration))
