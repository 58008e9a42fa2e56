"""The API's description of itself: complete, and true of what it answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from api.app import create_app
from api.data_folder import DataFolder
from api.openapi import ANSWERS
from api.service import Service
from api.twin import Twin
from tests.api.service_bench import PlayedWork, eventually
from tests.api.test_routes import refused

API = "/api/v1"
PLAN = {"name": "pads", "region": {"x_um": [2, 26], "y_um": [1, 24]}}
PURE_NUMBERS = {
    "seconds",
    "overlap",
    "mean",
    "sd",
    "focus_score",
    "steepest",
    "budget",
    "least_contrast",
    "least_focus",
}
NO_JSON = {"/metrics", f"{API}/snap", f"{API}/live.mjpg"}


@pytest.fixture
def client(twin: Twin, tmp_path: Path) -> Iterator[TestClient]:
    service = Service(DataFolder(tmp_path), twin.rig, work=PlayedWork().work, world_url=twin.world.url)
    with TestClient(create_app(service)) as connected:
        yield connected


@pytest.fixture
def described(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_answer_is_as_it_is_described(client: TestClient) -> None:
    asked: set[tuple[str, str]] = set()

    def ask(method: str, path: str, body: Any = None, **names: Any) -> Any:
        answer = client.request(method, f"{API}{path}".format(**names) if path != "/healthz" else path, json=body)
        assert answer.status_code < 300, answer.text
        key = method.lower(), path if path == "/healthz" else f"{API}{path}"
        ANSWERS[key].model_validate(answer.json(), strict=False)
        asked.add(key)
        return answer.json()

    ask("GET", "/healthz")
    ask("POST", "/lease", {"seconds": 60})
    ask("GET", "/rig")
    ask("GET", "/devices")
    ask("GET", "/devices/{name}", name="camera")
    ask("POST", "/devices/{name}/move", {"targets_um": {"x": 5.0}}, name="scanner")
    ask("GET", "/status")
    ask("POST", "/plans/preview", PLAN)
    ask("GET", "/models")
    ask("POST", "/sim/faults", {"device": "force", "name": "force_runaway", "parameters": {"for_s": 0}})
    assert ask("GET", "/sim/faults")["injected"]
    unknown = client.post(f"{API}/sim/faults", json={"device": "force", "name": "no such"})
    assert (unknown.status_code, "is not a fault of force" in unknown.json()["detail"]) == (422, True)
    ask("POST", "/queue/hold")
    job = ask("POST", "/jobs", {"plan": PLAN})["id"]
    ask("PATCH", "/jobs/{job_id}", {"position": 0}, job_id=job)
    ask("POST", "/queue/release")
    eventually(lambda: client.get(f"{API}/jobs/{job}").json()["state"] == "done")
    run = ask("GET", "/jobs/{job_id}", job_id=job)["run"]
    ask("GET", "/jobs")
    ask("GET", "/runs")
    ask("GET", "/runs/{name}", name=run)
    assert ask("GET", "/runs/{name}/tiles", name=run)["tiles"]
    ask("GET", "/runs/{name}/mosaic", name=run)
    ask("GET", "/runs/{name}/mosaic/{layer}/{level}", name=run, layer="raw", level=0)
    ask("POST", "/runs/{name}/reconstruct", {"model": "none"}, name=run)
    ask("POST", "/stop")
    needs_a_running_job = {key for key in ANSWERS if re.search(r"jobs/\{job_id\}/", key[1])}
    needs_a_rig_without_probe = {("post", f"{API}/devices/{{name}}/home")}
    assert asked == ANSWERS.keys() - needs_a_running_job - needs_a_rig_without_probe


def test_a_twin_that_is_gone_does_not_answer(client: TestClient) -> None:
    client.app.state.service._world_url = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    for answer in (
        client.get(f"{API}/sim/faults"),
        client.post(f"{API}/sim/faults", json={"device": "camera", "name": "black_frame"}),
    ):
        refused(answer, 503, "the twin does not answer", "refused")


def test_every_operation_has_answers_problems_and_a_role(described: dict[str, Any]) -> None:
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            good = [found for status, found in operation["responses"].items() if status.startswith("2")]
            assert len(good) == 1, where
            if path not in NO_JSON and "204" not in operation["responses"] and "application/json" in good[0]["content"]:
                assert "$ref" in good[0]["content"]["application/json"]["schema"], where
            for status, found in operation["responses"].items():
                if int(status) >= 400:
                    assert found["content"].keys() == {"application/problem+json"}, where
            assert ("400" in operation["responses"]) == (method != "get"), where  # a body may be cut off
            assert ("x-role" in operation) == (path != "/healthz"), where
            for parameter in operation.get("parameters", []):
                said = {"example", "examples", "default"} & (parameter | parameter["schema"]).keys()
                assert said or parameter["in"] == "header", f"{where}: {parameter['name']}"


def test_no_reference_leads_nowhere(described: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert named <= described["components"]["schemas"].keys()


def test_every_quantity_says_its_unit(described: dict[str, Any]) -> None:
    unit = re.compile(r"_(um|nm|nn|s|ms|px|bytes|part)$")
    for name, model in described["components"]["schemas"].items():
        for key, value in model.get("properties", {}).items():
            if value.get("type") == "number":
                assert unit.search(key) or key in PURE_NUMBERS or value.get("description"), f"{name}.{key}"


def test_models_of_answers_are_closed() -> None:
    assert all(issubclass(model, BaseModel) and model.model_config["extra"] == "forbid" for model in ANSWERS.values())
