"""What was acquired, read from the run directories themselves."""

import json
import os
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse

from acquisition.run_store import RunError, RunStore
from acquisition.summary import run_facts
from api.existing_run import existing_run
from api.routes.service_of import ServiceOf

router = APIRouter(prefix="/runs")

HEAD = ("plan_hash", "seed", "created_at", "versions")
"""What the list tells of a run, besides its name."""
ALONE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A report brings all it needs, and asks nobody for anything."""
LAST_ROW = 2**63 - 1  # that SQLite can number
MOST_TILES = 1000
"""In one answer; whoever wants more asks for those after the last."""


@router.get("")
def list_runs(service: ServiceOf) -> dict[str, Any]:
    """Every run in the data folder, the newest first."""
    found = sorted(service.folder.runs.glob("*/run.json"), key=lambda path: path.parent.name, reverse=True)
    return {"runs": [_head(path.parent) for path in found]}


@router.get("/{name}")
def get_run(name: str, service: ServiceOf) -> dict[str, Any]:
    """One run: its plan, and what came of it so far."""
    path = existing_run(service.folder, name)
    with closing(_opened(path)) as store:
        field = {"pixel_size_um": store.field.pixel_size_um, "field_corners_um": store.field.corners_um()}
        head = {**_head(path), "has_report": _report(path).exists(), "plan": store.plan.model_dump(mode="json")}
        return {**head, **field, **run_facts(store)}


@router.get("/{name}/tiles")
def get_tiles(
    name: str,
    service: ServiceOf,
    after: Annotated[int, Query(ge=0, le=LAST_ROW)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_TILES)] = MOST_TILES,
) -> dict[str, Any]:
    """Attempts at tiles in the order in which they ended, those after number `after`; ask again from `last` on."""
    with closing(_opened(existing_run(service.folder, name))) as store:
        found = list(islice(store.journal.attempts(after), limit))
    return {
        "tiles": [{"number": number, **asdict(attempt)} for number, attempt in found],
        "last": found[-1][0] if found else after,
    }


@router.get(
    "/{name}/report",
    response_class=FileResponse,
    responses={
        200: {"content": {"text/html": {}}, "description": "One page with all its pictures in it."},
        404: {"description": "No such run, or no report of it yet."},
    },
)
def get_report(name: str, service: ServiceOf) -> FileResponse:
    """The report of a run as it was written last."""
    report = _report(existing_run(service.folder, name))
    if not report.exists():
        raise HTTPException(404, "no report was written yet")
    return FileResponse(report, media_type="text/html", headers={"Content-Security-Policy": ALONE})


def _opened(path: Path) -> RunStore:
    """Open a run; what is damaged in it is told from its name on, not from where the data lie."""
    try:
        return RunStore(path)
    except RunError as error:
        raise RunError(str(error).replace(f"{path.parent}{os.sep}", "")) from error


def _report(path: Path) -> Path:
    return path / "report" / "report.html"


def _head(path: Path) -> dict[str, Any]:
    try:
        run = json.loads((path / "run.json").read_text())
        return {"id": path.name, "name": run["plan"]["name"], **{key: run[key] for key in HEAD}}
    except (OSError, ValueError, KeyError, TypeError) as error:  # one damaged run does not hide the others
        return {"id": path.name, "error": f"run.json: not readable as a run: {error!r}"}
