"""Whether it works, for whoever looks after machines: in a word for each part, and in numbers for Prometheus."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.health import health
from api.routes.service_of import ServiceOf

router = APIRouter()


@router.get("/healthz")
async def healthz(request: Request, service: ServiceOf) -> dict[str, Any]:
    """Whether the service works, and how worker, guardian and devices are; only a service that is over answers 503."""
    found = health(service, request.app.state.events)
    if service.over:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the service does not work any more")
    return {"ok": True, **found}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "In Prometheus' text format."}},
)
def metrics(request: Request) -> Response:
    """Tiles, overhead, queue, force, drift, disk, worker lag."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
