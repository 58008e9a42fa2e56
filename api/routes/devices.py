"""The devices of the rig: what they say, and moving them by hand between two jobs."""

from typing import Annotated, Any

import cv2
from fastapi import APIRouter, Response
from pydantic import Field

from acquisition.journal import Attempt
from api.hand import moving, readings, snapping
from api.hand.by_hand import USUAL_S
from api.routes.service_of import ServiceOf
from api.service import Service
from devices.model import Model, Number

router = APIRouter()

LONGEST_MS = 60_000.0

Axis = Annotated[str, Field(pattern="^[xyz]$")]


class Move(Model):
    """Where to, absolute, in micrometre; axes that are not named stay where they are."""

    targets_um: Annotated[dict[Axis, Number], Field(min_length=1, examples=[{"x": 20.0, "y": 30.0}])]


class Exposure(Model):
    """How long, in milliseconds."""

    exposure_ms: Annotated[Number, Field(gt=0, le=LONGEST_MS, examples=[20.0])] = 1000 * USUAL_S


USUAL = Exposure()


@router.get("/devices")
def get_devices(service: ServiceOf) -> dict[str, Any]:
    """Every device of the rig: whether it is well, and what it reads.

    While a run has the rig, `reading` is that of the tile taken last. Of a rig that is closed, and would move when it
    is opened, there is none.
    """
    return {"devices": readings.devices(service.by_hand, _taken_last(service))}


@router.get("/devices/{name}")
def get_device(name: str, service: ServiceOf) -> dict[str, Any]:
    """One device: whether it is well, and what it reads."""
    return readings.device(service.by_hand, _taken_last(service), name)


@router.post("/devices/{name}/move")
def move(name: str, wanted: Move, service: ServiceOf) -> dict[str, Any]:
    """Go there and answer once settled, the probe retracted first.

    409 while a run has the rig, an interlock holds, or somebody else moves it; 422 beyond the limits: nothing moved.
    """
    position_um = moving.move(service.by_hand, name, wanted.targets_um, service.folder.path)
    return {"name": name, "position_um": position_um}


@router.post("/devices/{name}/home")
def home(name: str, service: ServiceOf) -> dict[str, Any]:
    """Look for the zero and answer once it is found; the axes may go over their whole travel meanwhile."""
    return {"name": name, "position_um": moving.home(service.by_hand, name, service.folder.path)}


@router.post(
    "/snap",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "16 bit grey, as the camera gave it."}},
)
def snap(service: ServiceOf, wanted: Exposure = USUAL) -> Response:
    """Take one frame where the rig stands; nothing moves, and it is not kept."""
    pixels = snapping.snap(service.by_hand, wanted.exposure_ms / 1000)
    return Response(cv2.imencode(".png", pixels)[1].tobytes(), media_type="image/png")


def _taken_last(service: Service) -> Attempt | None:
    running = service.running()
    return running.taken_last if running else None
