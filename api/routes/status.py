"""What goes on, and how everything is stopped. Neither waits for a database, and a stop for none but the rig itself."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from api.access.access_of import AccessOf, CallerOf
from api.hand import readings
from api.health import health
from api.routes.reason import DESCRIBED, reason_in
from api.routes.service_of import ServiceOf

router = APIRouter()

HELD, STOPPED = "held over HTTP", "stopped over HTTP"


@router.get("/status")
async def status(request: Request, service: ServiceOf, access: AccessOf, caller: CallerOf) -> dict[str, Any]:
    """State of the run, its job and progress; what holds the queue, who is in control, and what is in the way.

    `caller` is who asks. `health` tells how service, worker, guardian and devices are, `devices` what was wrong with
    them when asked last.
    """
    parts = {"lease": access.lease.facts(), "health": health(service, request.app.state.events)}
    parts["caller"] = {"name": caller.name, "role": caller.role}
    return service.status() | parts | {"devices": readings.health(service.by_hand)}


@router.post("/stop", status_code=202, openapi_extra=DESCRIBED)
async def stop(request: Request, service: ServiceOf) -> dict[str, Any]:
    """Stop everything now and retract the probe; no job begins until `queue/release`.

    A `reason` that is given stands in the journal of the run, in its report, and where `held` is told.
    Whoever operates may, whatever the lease, the queue and the rate of requests; who only views may not.
    While no job runs, the answer tells whether the rig could be reached; the queue is held either way. What is answered
    outlives the service, unless `troubles` say that it could not be written down.
    """
    reason = reason_in(await request.body())
    running = service.stop(f"{STOPPED}: {reason}" if reason else STOPPED)
    try:
        if not running:
            await asyncio.to_thread(service.make_safe)
    finally:
        await asyncio.to_thread(service.write_down_stop)
    return service.status()


@router.post("/queue/hold", status_code=202)
def hold(service: ServiceOf) -> dict[str, Any]:
    """Let no further job begin; the one that runs goes on."""
    service.queue.hold(HELD)
    return service.status() | {"held": HELD}  # what the clerk has read may be older


@router.post("/queue/release", status_code=202)
def release(service: ServiceOf) -> dict[str, Any]:
    """Let jobs begin again."""
    service.release()
    return service.status() | {"held": None}
