"""What a plan amounts to, and where its tiles will lie."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from acquisition.field import Field
from acquisition.layout import camera_area, layout
from acquisition.plan import Plan
from acquisition.readiness import Findings, check
from acquisition.telling_trial import unset_secrets
from devices.rig import Rig, RigSettings
from reconstruction.errors import InputError
from reconstruction.restore import check as check_model

NOT_MADE_YET = ".run-to-be"
MOST_PLACES = 2000
"""To be drawn one by one; beyond, nobody tells them apart."""


def findings(plan: Plan, settings: RigSettings, out: Path, rig: Rig | None = None, files: bool = True) -> Findings:
    """All that stands against a plan, and all that is doubtful; without an open rig no device is asked.

    Args:
        files: whether the plan may name a model by its file.
    """
    found = check(plan, settings, out, rig)
    try:
        check_model(plan.reconstruction.model, files)
    except InputError as error:
        found.problems.insert(0, f"reconstruction.{error}")
    found.warnings.extend(unset_secrets(settings.tell))
    return found


def foreseen(plan: Plan, settings: RigSettings, folder: Path, files: bool = True) -> Findings:
    """As `findings`, for a run that shall once be made somewhere in `folder`; an interlock that stands is a warning."""
    found = findings(plan, settings, folder / NOT_MADE_YET, files=files)
    return replace(found, warnings=[*found.interlocks, *found.warnings], interlocks=[])


def preview(plan: Plan, settings: RigSettings, runs: Path) -> dict[str, Any]:
    """Tiles, time and disk, and everything that stands in the way, ready for JSON; moves nothing."""
    found = foreseen(plan, settings, runs, files=False)
    costs = vars(found.cost) if found.cost else {}
    places = _places(plan, settings, found)
    return {**costs, **places, "plan_hash": plan.hash, "problems": found.problems, "warnings": found.warnings}


def _places(plan: Plan, settings: RigSettings, found: Findings) -> dict[str, Any]:
    """Where the tiles will lie, as far as that can be told and shown."""
    if found.cost is None or found.cost.tiles > MOST_PLACES:
        return {"places_um": None, "field_corners_um": None}
    _, field = camera_area(plan, Field.calibrated(settings.calibration))
    return {
        "places_um": [[round(tile.x_um, 4), round(tile.y_um, 4)] for tile in layout(plan, field)],
        "field_corners_um": field.corners_um(),
    }
