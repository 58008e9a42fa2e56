"""What a plan amounts to, before anybody queues it."""

from typing import Any

from fastapi import APIRouter

from acquisition.layout import layout
from acquisition.plan import Plan
from acquisition.readiness import Findings
from api.any_plan import AnyPlan, plan_for
from api.routes.service_of import ServiceOf
from api.scan import field_of, foreseen
from devices.rig import RigSettings

router = APIRouter(prefix="/plans")

MOST_PLACES = 2000
"""To be drawn one by one; beyond, nobody tells them apart."""


@router.post("/preview")
def preview(asked: AnyPlan, service: ServiceOf) -> dict[str, Any]:
    """Tiles, time and disk, and everything that stands in the way; moves nothing."""
    settings = service.settings_for(None)
    plan = plan_for(asked, settings)
    found = foreseen(plan, settings, service.folder.runs, files=False)
    costs = vars(found.cost) if found.cost else {}
    places = _places(plan, settings, found)
    return {**costs, **places, "plan_hash": plan.hash, "problems": found.problems, "warnings": found.warnings}


def _places(plan: Plan, settings: RigSettings, found: Findings) -> dict[str, Any]:
    """Where the tiles will lie, as far as that can be told and shown."""
    if found.cost is None or found.cost.tiles > MOST_PLACES:
        return {"places_um": None, "field_corners_um": None}
    field = field_of(plan, settings)
    return {
        "places_um": [[round(tile.x_um, 4), round(tile.y_um, 4)] for tile in layout(plan, field)],
        "field_corners_um": field.corners_um(),
    }
