"""A useq MDASequence wherever a plan is taken: over HTTP and on the command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from tests.api.conftest import told
from tests.api.service_bench import PlayedWork, eventually, frames_of, rig_file

SEQUENCE = {"grid_plan": {"rows": 2, "columns": 3, "overlap": 10}, "stage_positions": [{"x": 50, "y": 40}]}


def test_a_sequence_is_previewed_queued_and_acquired(tmp_path: Path) -> None:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service)) as client:
        found = client.post("/api/v1/plans/preview", json=SEQUENCE).json()
        assert (found["tiles"], found["rows"], found["columns"], found["problems"]) == (6, 2, 3, [])
        job = client.post("/api/v1/jobs", json={"plan": SEQUENCE}).json()["id"]
        done = eventually(lambda: (facts := client.get(f"/api/v1/jobs/{job}").json())["outcome"] and facts)
        assert len(frames_of(tmp_path / "runs" / done["run"])) == 6
        in_time = client.post("/api/v1/jobs", json={"plan": SEQUENCE | {"time_plan": {"interval": 1, "loops": 2}}})
        assert in_time.status_code == 422
        assert in_time.json()["errors"].keys() == {"time_plan"}


def test_a_sequence_is_a_plan_file(nanoraster: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    rig, file = rig_file(tmp_path), tmp_path / "useq.json"
    file.write_text(json.dumps(SEQUENCE))
    assert told(nanoraster("plan", file, "--rig", rig, "--json"))["tiles"] == 6
    unplaced = nanoraster("queue", "add", file, "--data", tmp_path)
    assert unplaced.returncode == 2
    assert f"{file}: a useq sequence counts in fields of view: say on which rig (--rig)" in unplaced.stderr
