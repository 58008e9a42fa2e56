"""The rig as its file describes it."""

from typing import Any

from fastapi import APIRouter

from api.rig_facts import rig_facts
from api.routes.service_of import ServiceOf

router = APIRouter()


@router.get("/rig")
def get_rig(service: ServiceOf) -> dict[str, Any]:
    """Field of view, travel and interlocks, from the rig file; no device is asked.

    `wrong` is what an interlock has against a run now; one that watches a device (`is_read_now` false) only runs read.
    """
    return {**rig_facts(service.by_hand.settings(), service.folder.runs), "is_twin": service.world is not None}
