"""What a plan amounts to, before anybody queues it."""

from typing import Any

from fastapi import APIRouter

from api.any_plan import AnyPlan, plan_for
from api.routes.service_of import ServiceOf
from api.scan import foreseen

router = APIRouter(prefix="/plans")


@router.post("/preview")
def preview(asked: AnyPlan, service: ServiceOf) -> dict[str, Any]:
    """Tiles, time and disk, and everything that stands in the way; moves nothing."""
    settings = service.settings_for(None)
    plan = plan_for(asked, settings)
    found = foreseen(plan, settings, service.folder.runs)
    costs = vars(found.cost) if found.cost else {}
    return {**costs, "plan_hash": plan.hash, "problems": found.problems, "warnings": found.warnings}
