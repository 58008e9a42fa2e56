"""The models at hand, and restoring a run again with another one."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.existing_run import existing_run
from api.models import model_facts
from api.routes.service_of import ServiceOf
from devices.model import Model, Printable

router = APIRouter()


class Wanted(Model):
    """A name from `GET models`."""

    model: Annotated[Printable, Field(min_length=1, max_length=64, examples=["nlm"])]


@router.get("/models")
def get_models() -> dict[str, Any]:
    """Each with the hash of what determines its result, how many pixels it makes of one along each axis, its card."""
    return {"models": model_facts()}


@router.post("/runs/{name}/reconstruct", status_code=202)
def restore_again(
    name: str, wanted: Wanted, request: Request, service: ServiceOf, response: Response
) -> dict[str, Any]:
    """Begin to restore a run with another model, beside the one that it has; 409 while another one is being restored.

    It comes to `GET runs/{id}/mosaic` under `restored_again`, its tiles are those of the layers `raw@MODEL` and
    `restored@MODEL`.
    """
    run = existing_run(service.folder, name)
    request.app.state.restorations.start(run.name, wanted.model)
    response.headers["Location"] = f"/api/v1/runs/{run.name}/mosaic"
    return {"run": run.name, "restored_again": request.app.state.restorations.of(run.name)}
