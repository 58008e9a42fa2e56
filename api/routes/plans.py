"""What a plan amounts to, before anybody queues it."""

from typing import Any

from fastapi import APIRouter

from acquisition.plan import Plan
from acquisition.preflight import cost
from api.routes.service_of import ServiceOf
from api.scan import blocking, field_of

router = APIRouter(prefix="/plans")


@router.post("/preview")
def preview(plan: Plan, service: ServiceOf) -> dict[str, Any]:
    """Tiles, time and disk, and everything that stands in the way; moves nothing."""
    settings = service.settings_for(None)
    problems = blocking(plan, settings, service.folder.runs)
    return {**vars(cost(plan, field_of(settings))), "plan_hash": plan.hash, "problems": problems}
