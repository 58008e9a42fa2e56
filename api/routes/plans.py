"""What a plan amounts to, before anybody queues it."""

import asyncio
from http import HTTPStatus
from typing import Any, cast

from fastapi import APIRouter, HTTPException, Request

from acquisition.plan import PlanError
from api.any_plan import EXAMPLE
from api.previews import Previews
from api.routes.service_of import ServiceOf

router = APIRouter(prefix="/plans")

KINDS = [{"$ref": f"#/components/schemas/{kind}"} for kind in ("Plan", "Sequence")]
SCHEMA = {"anyOf": KINDS, "title": "Asked", "examples": [EXAMPLE]}
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}}


@router.post("/preview", openapi_extra=BODY)
async def preview(request: Request, service: ServiceOf) -> dict[str, Any]:
    """Tiles, time and disk, and everything that stands in the way; moves nothing."""
    if "json" not in (kind := request.headers.get("content-type", "")):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"Content-Type: {kind}: should be application/json")
    try:
        body = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise PlanError([f"body: not JSON: {error}"]) from error
    await asyncio.to_thread(service.settings_for, None)  # says what is wrong with the rig file
    assert service.rig is not None
    previews = cast(Previews, request.app.state.previews)
    return await asyncio.to_thread(previews.preview, body, service.rig, service.folder.runs)
