"""Faults of the twin, where the service was started with one (`--sim`)."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from api.errors import NoTwin
from api.routes.service_of import ServiceOf
from api.service import Service
from api.twin import World
from devices.model import Model, Number, Printable, Whole

router = APIRouter(prefix="/sim")

Word = Annotated[Printable, Field(min_length=1, max_length=64)]


class NewFault(Model):
    """A fault for the next operations of a device; parameters that are not given are as usual."""

    device: Annotated[Word, Field(examples=["scanner"])]
    name: Annotated[Word, Field(examples=["stuck_axis"])]
    parameters: Annotated[dict[Word, Number], Field(default_factory=dict, examples=[{"for_s": 2.0}])]
    times: Annotated[Whole, Field(ge=1, le=1000)] = 1


@router.get("/faults")
def get_faults(service: ServiceOf) -> dict[str, Any]:
    """Which faults there are, and what was injected so far; 404 on a real rig."""
    world = _world(service)
    return {"kinds": world.fault_kinds(), "injected": world.faults()}


@router.post("/faults", status_code=201)
def arm_fault(wanted: NewFault, service: ServiceOf) -> dict[str, Any]:
    """Let a fault befall a device of the twin; 404 on a real rig."""
    armed = _world(service).arm(wanted.model_dump())
    return {key: armed[key] for key in ("device", "name", "times", "parameters")}


def _world(service: Service) -> World:
    if service.world is None:
        raise NoTwin("there is no twin: the service was started without --sim")
    return service.world
