"""`/openapi.json`: what FastAPI knows of the routes, with their answers, their problems, and who may ask."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import answers
from api.access.roles import API, rule_for

ANSWERS: dict[tuple[str, str], type[BaseModel]] = {
    ("get", "/healthz"): answers.Healthz,
    ("get", f"{API}/status"): answers.Status,
    ("post", f"{API}/stop"): answers.ServiceStatus,
    ("post", f"{API}/queue/hold"): answers.ServiceStatus,
    ("post", f"{API}/queue/release"): answers.ServiceStatus,
    ("post", f"{API}/lease"): answers.LeaseAnswer,
    ("get", f"{API}/rig"): answers.RigAnswer,
    ("get", f"{API}/devices"): answers.Devices,
    ("get", f"{API}/devices/{{name}}"): answers.DeviceAnswer,
    ("post", f"{API}/devices/{{name}}/move"): answers.Moved,
    ("post", f"{API}/devices/{{name}}/home"): answers.Moved,
    ("get", f"{API}/jobs"): answers.Jobs,
    ("post", f"{API}/jobs"): answers.JobAnswer,
    ("get", f"{API}/jobs/{{job_id}}"): answers.JobWithPlan,
    ("patch", f"{API}/jobs/{{job_id}}"): answers.JobAnswer,
    **{
        ("post", f"{API}/jobs/{{job_id}}/{verb}"): answers.ServiceStatus
        for verb in ("pause", "resume", "skip", "retake", "stop", "abort")
    },
    ("get", f"{API}/runs"): answers.Runs,
    ("get", f"{API}/runs/{{name}}"): answers.Run,
    ("get", f"{API}/runs/{{name}}/tiles"): answers.TilesOfRun,
    ("get", f"{API}/runs/{{name}}/mosaic"): answers.MosaicAnswer,
    ("get", f"{API}/runs/{{name}}/mosaic/{{layer}}/{{level}}"): answers.DrawnBlocks,
    ("get", f"{API}/sim/faults"): answers.FaultsAnswer,
    ("post", f"{API}/sim/faults"): answers.ArmedFault,
    ("get", f"{API}/models"): answers.Models,
    ("post", f"{API}/runs/{{name}}/reconstruct"): answers.Restoring,
    ("post", f"{API}/plans/preview"): answers.Preview,
}
PROBLEMS = {
    400: "The body was cut off.",
    401: "No token, or one that is unknown or revoked.",
    403: "The role is too small.",
    404: "There is none of that name.",
    408: "The body did not come in time.",
    409: "Not now: somebody else is in control, a run has the rig, or it is over.",
    413: "The body is too large.",
    422: "Bad input; `errors` says what is wrong, by key.",
    429: "Too many requests; `Retry-After` says when again.",
    500: "Something of the service's own is damaged.",
    503: "The database, a device or the rig does not answer.",
}
EXAMPLES = {"job_id": 7, "after": 12, "limit": 100}
NAMES = {"runs": "20261121T220000Z-pads", "devices": "scanner"}
TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "Of `nanoraster token create`; not asked for on loopback as long as there is none.",
}
ABOUT = """Lengths are micrometres, times seconds, forces nanonewton unless a name says otherwise.

`WS /api/v1/events?after=SEQ&epoch=EPOCH` sends what happens in the runs, a JSON object a message: `seq`, `epoch`,
`run`, `at`, `kind`, and `data`."""


def describe(app: FastAPI) -> None:
    """Let an app describe itself so; made once, when it is asked for first."""
    plainly = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plainly())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    models: set[type[BaseModel]] = {*ANSWERS.values(), answers.Problem}
    _, found = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    components = schema["components"]
    components["schemas"] |= found["$defs"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {"token": TOKEN}
    schema["info"]["description"] = ABOUT
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(method, path, operation)
    return schema


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    if (answer := ANSWERS.get((method, path))) is not None:
        good = next(code for code in operation["responses"] if code.startswith("2"))
        operation["responses"][good]["content"] = {"application/json": {"schema": _reference(answer)}}
    rule = rule_for(method.upper(), path)
    if rule.role is not None:
        operation["security"] = [{"token": []}]
        operation["x-role"] = rule.role
    for status in _problems(method, path, operation):
        operation["responses"][str(status)] = {
            "description": PROBLEMS[status],
            "content": {"application/problem+json": {"schema": _reference(answers.Problem)}},
        }
    for parameter in operation.get("parameters", []):
        example = EXAMPLES.get(parameter["name"], NAMES.get(path.split("/")[3]) if path.startswith(API) else None)
        if example is not None and parameter["name"] in (*EXAMPLES, "name"):
            parameter["example"] = example


def _problems(method: str, path: str, operation: dict[str, Any]) -> list[int]:
    """What may come instead: any request may be refused at the gate, and any part of it may be wrong."""
    rule = rule_for(method.upper(), path)
    found = [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE]
    if rule.role is not None:
        found += [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS]
    if "{" in path or path.startswith(f"{API}/sim/"):  # without a twin there is no simulation
        found.append(HTTPStatus.NOT_FOUND)
    if rule.is_command:
        found.append(HTTPStatus.CONFLICT)
    if method != "get":
        found += [HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
    if "requestBody" in operation or "parameters" in operation:
        found.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    return sorted(found)


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
