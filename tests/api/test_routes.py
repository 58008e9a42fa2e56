"""The API over HTTP: what it answers, and how it says no."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient

from acquisition.states import State
from api.app import create_app
from api.data_folder import DataFolder
from api.errors import BAD_INPUT, UsageError
from api.serve import Serving, serve
from api.service import Service
from devices.errors import DeviceTimeout
from devices.rig_lock import RigInUse
from tests.api.service_bench import PlayedWork, eventually, plan, rig_file

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def played() -> PlayedWork:
    return PlayedWork()


@pytest.fixture
def client(tmp_path: Path, played: PlayedWork, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr("api.service.POLL_S", 0.01)
    service = Service(DataFolder(tmp_path / "data"), rig_file(tmp_path), work=played.work)
    with TestClient(create_app(service)) as connected:
        yield connected


@pytest.fixture
def waiting(client: TestClient) -> TestClient:
    """A client of a queue that is held, so that jobs stay where they are put."""
    client.post("/api/v1/queue/hold")
    return client


def added(client: TestClient, name: str = "pads", **more: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json={"plan": plan(name)} | more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{JOBS}/{found['id']}"
    return found


def names(client: TestClient) -> list[str]:
    return [job["name"] for job in client.get(JOBS).json()["jobs"]]


def refused(answer: Any, status: int, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    assert all(word in problem["detail"] for word in words), problem["detail"]
    return problem


def test_a_job_is_acquired_and_its_run_can_be_read(client: TestClient) -> None:
    job = added(client)
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["state"] == "done")
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert (done["outcome"], done["error"]) == ("completed", None)
    assert [run["id"] for run in client.get("/api/v1/runs").json()["runs"]] == [done["run"]]
    run = client.get(f"/api/v1/runs/{done['run']}").json()
    assert (run["plan"]["name"], run["tiles"]["ok"]) == ("pads", 6)
    first = client.get(f"/api/v1/runs/{done['run']}/tiles", params={"limit": 4}).json()
    rest = client.get(f"/api/v1/runs/{done['run']}/tiles", params={"after": first["last"]}).json()
    assert [tile["tile"] for tile in first["tiles"] + rest["tiles"]] == list(range(6))
    assert client.get(f"/api/v1/runs/{done['run']}/tiles", params={"after": rest["last"]}).json()["tiles"] == []


def test_status_tells_of_the_running_job_and_it_obeys(client: TestClient, played: PlayedWork) -> None:
    played.gate.clear()
    job = added(client)
    now = eventually(lambda: (status := client.get("/api/v1/status").json())["state"] == "acquiring" and status)
    assert (now["job"]["id"], now["progress"]["planned"]) == (job["id"], 6)
    assert client.post(f"{JOBS}/{job['id']}/pause", json={"after": "now"}).status_code == 202
    eventually(lambda: client.get("/api/v1/status").json()["state"] == State.PAUSED)
    assert client.get(f"{JOBS}/{job['id']}").json()["doing"] == "paused"
    assert client.post(f"{JOBS}/{job['id']}/resume").status_code == 202
    assert client.post(f"{JOBS}/{job['id']}/skip").status_code == 202
    assert client.post(f"{JOBS}/{job['id']}/abort", json={"reason": "dust"}).status_code == 202
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["error"] == "dust")
    assert client.get(f"{JOBS}/{job['id']}").json()["outcome"] == "failed"


def test_a_tile_is_taken_again_before_the_run_ends(client: TestClient, played: PlayedWork) -> None:
    played.gate.clear()
    job = added(client)
    again = f"{JOBS}/{job['id']}/retake"
    taken = lambda: (now := client.get("/api/v1/status").json())["progress"] and now["progress"]["tiles"]  # noqa: E731
    eventually(lambda: taken() == 1)
    refused(client.post(again, json={"tile": 6}), 422, "tile = 6: outside 0..5")
    refused(client.post(again, json={"tile": 0, "exposure_factor": 11}), 422, "exposure_factor", "1..10")
    refused(client.post(again, json={"tile": 3}), 409, "tile = 3: not taken yet")
    assert client.post(again, json={"tile": 0, "exposure_factor": 4, "reason": "a hair"}).json()["retakes"] == [0]
    played.gate.set()
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["state"] == "done")
    run = client.get(f"{JOBS}/{job['id']}").json()["run"]
    first, *_, last = client.get(f"/api/v1/runs/{run}/tiles").json()["tiles"]
    assert [(each["tile"], each["attempt"], each["exposure_s"]) for each in (first, last)] == [
        (0, 1, 0.02),
        (0, 2, 0.08),
    ]
    assert (last["cause"], last["reason"]) == ("asked", "asked for by local: a hair")
    assert client.get(f"/api/v1/runs/{run}").json()["tiles"]["retried"] == 1
    refused(client.post(again, json={"tile": 0}), 409, "it is not running")
    refused(client.post(f"{JOBS}/99/retake", json={"tile": 0}), 404, "job 99")


def test_no_tile_is_taken_again_once_acquiring_is_over(client: TestClient, played: PlayedWork) -> None:
    played.mosaic.clear()
    job = added(client)
    eventually(lambda: client.get("/api/v1/status").json()["state"] == "finishing")
    refused(client.post(f"{JOBS}/{job['id']}/retake", json={"tile": 0}), 409, "too late to take a tile again")
    played.mosaic.set()


def test_a_stop_ends_the_run_and_holds_the_queue(client: TestClient, played: PlayedWork) -> None:
    played.gate.clear()
    first, second = added(client, "a"), added(client, "b")
    eventually(lambda: client.get("/api/v1/status").json()["state"] == "acquiring")
    assert client.post("/api/v1/stop").status_code == 202
    eventually(lambda: client.get(f"{JOBS}/{first['id']}").json()["outcome"] == "stopped")
    assert client.get(f"{JOBS}/{second['id']}").json()["state"] == "queued"
    assert client.get("/api/v1/status").json()["held"] == "stopped over HTTP"
    played.gate.set()
    assert client.post("/api/v1/queue/release").json()["held"] is None
    eventually(lambda: client.get(f"{JOBS}/{second['id']}").json()["outcome"] == "completed")


def test_the_queue_is_put_in_another_order(waiting: TestClient) -> None:
    for name in "abc":
        added(waiting, name)
    last = waiting.get(JOBS).json()["jobs"][-1]["id"]
    assert waiting.patch(f"{JOBS}/{last}", json={"position": 0}).status_code == 200
    assert names(waiting) == ["c", "a", "b"]
    assert waiting.delete(f"{JOBS}/{last}").status_code == 204
    assert names(waiting) == ["a", "b"]


def test_an_edit_of_an_older_queue_is_refused(waiting: TestClient) -> None:
    job = added(waiting)
    version = waiting.get(JOBS).json()["queue_version"]
    change = {"start_at": "2030-01-01T00:00:00Z", "queue_version": version}
    assert waiting.patch(f"{JOBS}/{job['id']}", json=change).json()["start_at"] == "2030-01-01T00:00:00Z"
    refused(waiting.patch(f"{JOBS}/{job['id']}", json=change), 409, "queue_version", str(version))


def test_times_are_changed_one_by_one_and_lifted(waiting: TestClient) -> None:
    job = added(waiting, start_at="2030-01-01T01:00:00+01:00", window="22:00-07:00 Europe/Berlin")
    assert (job["start_at"], job["window"]) == ("2030-01-01T00:00:00Z", "22:00-07:00 Europe/Berlin")
    assert job["starts_at"] == "2030-01-01T00:00:00Z"  # one o'clock in the window
    changed = waiting.patch(f"{JOBS}/{job['id']}", json={"start_at": None}).json()
    assert (changed["start_at"], changed["window"]) == (None, "22:00-07:00 Europe/Berlin")
    assert waiting.patch(f"{JOBS}/{job['id']}", json={"window": None}).json()["window"] is None


def test_a_plan_is_previewed_with_everything_that_stands_in_its_way(client: TestClient) -> None:
    good = client.post("/api/v1/plans/preview", json=plan()).json()
    assert (good["tiles"], good["problems"]) == (6, [])
    far = {"region": {"x_um": [90, 130], "y_um": [-1, 9]}, "reconstruction": {"model": "gan"}}
    bad = client.post("/api/v1/plans/preview", json=far).json()
    assert len(bad["problems"]) == 3
    huge = {"region": {"polygon_um": [[1e308, 0], [-1e308, 0], [0, 1e308]]}}
    problem = refused(client.post("/api/v1/plans/preview", json=huge), 422, "outside -1e+06..1e+06")
    assert "region.polygon_um.0.0" in problem["errors"]


def test_a_plan_that_cannot_be_carried_out_is_refused_with_each_key(client: TestClient) -> None:
    unreadable = client.post(JOBS, json={"plan": plan(tiles={"overlap": 0.95, "colour": 1})})
    problem = refused(unreadable, 422, "0.95", "0..0.9", "unknown key")
    assert problem["errors"].keys() == {"plan.tiles.overlap", "plan.tiles.colour"}
    impossible = client.post(JOBS, json={"plan": plan(region={"x_um": [90, 130], "y_um": [0, 9]})})
    assert refused(impossible, 422, "90..130")["errors"].keys() == {"region.x_um"}
    wide = client.post(JOBS, json={"plan": plan(focus={"policy": "row", "range_um": 20.0})})  # z goes 10 um
    assert refused(wide, 422, "focus.range_um = 20")["errors"].keys() == {"focus.policy"}
    assert names(client) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("GET", f"{JOBS}/7", None, 404, "7"),
        ("DELETE", f"{JOBS}/7", None, 404, "7"),
        ("PATCH", f"{JOBS}/7", {"position": 0}, 404, "7"),
        ("POST", f"{JOBS}/7/abort", None, 404, "7"),
        ("POST", f"{JOBS}/1/abort", None, 409, "not running"),
        ("GET", f"{JOBS}/one", None, 422, "job_id"),
        ("GET", f"{JOBS}/99999999999999999999999", None, 404, "99999999999999999999999"),
        ("DELETE", f"{JOBS}/99999999999999999999999", None, 404, "99999999999999999999999"),
        ("POST", f"{JOBS}/99999999999999999999999/abort", None, 404, "99999999999999999999999"),
        ("GET", "/api/v1/runs/absent/tiles?after=99999999999999999999", None, 422, "after"),
        ("POST", JOBS, None, 422, "body: required"),
        ("POST", JOBS, [], 422, "body = []"),
        ("POST", JOBS, {"plan": plan("\ud800")}, 422, r"plan.name = '\ud800'"),
        ("POST", JOBS, {"plan": plan("x\0y")}, 422, r"plan.name = 'x\x00y'"),
        ("POST", JOBS, {"plan": plan("pads\u202egnp.")}, 422, r"plan.name = 'pads\u202egnp.'"),
        ("POST", JOBS, {"plan": plan("\u2066x")}, 422, "format character"),
        ("POST", JOBS, {"plan": plan("")}, 422, "plan.name = '': should be 1..200"),
        ("POST", JOBS, {"plan": plan(on_failure={"consecutive": True})}, 422, "plan.on_failure.consecutive = True"),
        ("POST", JOBS, {"plan": plan(), "\ud800": 1}, 422, r"body = '\ud800'"),
        ("POST", JOBS, {"plan": plan(), "start_at": "0001-01-01T00:00:00+14:00"}, 422, "2000..2099"),
        ("POST", JOBS, {"plan": plan(), "start_at": "9999-12-31T23:59:59-14:00"}, 422, "2000..2099"),
        ("POST", f"{JOBS}/1/abort", {"reason": "\ud800"}, 422, "reason"),
        ("PATCH", f"{JOBS}/1", {"position": True}, 422, "position = True"),
        ("PATCH", f"{JOBS}/1", {"position": -1}, 422, "-1"),
        ("PATCH", f"{JOBS}/1", {"start_at": "2030-01-01T00:00:00"}, 422, "timezone"),
        ("PATCH", f"{JOBS}/1", {"window": "at night"}, 422, "at night"),
        ("PATCH", f"{JOBS}/1", {"colour": 1}, 422, "colour"),
        ("GET", "/api/v1/runs/absent", None, 404, "absent"),
        ("GET", "/api/v1/runs/%2e%2e", None, 404, ".."),
        ("GET", "/api/v1/runs/absent/tiles", None, 404, "absent"),
        ("GET", "/api/v1/nonsense", None, 404, "/api/v1/nonsense"),
        ("PUT", "/api/v1/stop", None, 405, "PUT"),
    ],
)
def test_a_refusal_is_a_problem_that_names_what_is_wrong(
    waiting: TestClient, method: str, path: str, body: Any, status: int, word: str
) -> None:
    added(waiting)
    content = None if body is None else json.dumps(body)  # in ASCII: half a character cannot be sent otherwise
    refused(waiting.request(method, path, content=content, headers=JSON), status, word)


def test_what_is_wrong_is_said_once_and_under_its_key(waiting: TestClient) -> None:
    bad_window = refused(waiting.post(JOBS, json={"plan": plan(), "window": "at night"}), 422)
    assert bad_window["detail"].count("window") == 1
    assert bad_window["errors"].keys() == {"window"}
    cut_off = refused(waiting.post(JOBS, content="{", headers=JSON), 422, "not JSON")
    assert cut_off["errors"].keys() == {"body"}
    for content in (b'{"plan": "\xff"}', b'{"plan":' + b"[" * 100_000):
        assert refused(waiting.post(JOBS, content=content, headers=JSON), 422, "not JSON")["errors"].keys() == {"body"}


def test_a_job_moves_to_the_end_by_any_place_beyond_it(waiting: TestClient) -> None:
    first, _ = added(waiting, "a"), added(waiting, "b")
    assert waiting.patch(f"{JOBS}/{first['id']}", json={"position": 10**20}).status_code == 200
    assert names(waiting) == ["b", "a"]


def test_a_path_in_a_name_leads_nowhere(client: TestClient, tmp_path: Path) -> None:
    job = added(client, "../../e")
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["state"] == "done")
    run = client.get(f"{JOBS}/{job['id']}").json()["run"]
    assert run.endswith("Z-e")
    assert [path.name for path in (tmp_path / "data" / "runs").iterdir()] == [run]


def test_a_job_says_how_many_tiles_it_took_of_how_many(client: TestClient, played: PlayedWork) -> None:
    played.skipped = {1, 4}
    job = added(client)
    assert job["tiles"] is None
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["state"] == "done")
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert (done["outcome"], done["tiles"]) == ("completed", {"ok": 4, "planned": 6})
    assert [listed["tiles"] for listed in client.get(JOBS).json()["jobs"]] == [done["tiles"]]


def test_a_hold_and_a_release_answer_what_they_have_done(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    service.queue.held, held = Mock(return_value=None), service.queue.held  # as the clerk may have read it before
    assert client.post("/api/v1/queue/hold").json()["held"] == "held over HTTP"
    service.queue.held = held
    eventually(lambda: client.get("/api/v1/status").json()["held"])
    assert client.post("/api/v1/queue/release").json()["held"] is None


def test_a_service_does_not_take_a_damaged_name_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "service.lock").write_bytes(b"\xff\x00\x80")
    with pytest.raises(UsageError, match=r"service\.lock: damaged"):
        Service(DataFolder(tmp_path))


def test_why_everything_is_stopped_is_told_and_logged(client: TestClient, played: PlayedWork, tmp_path: Path) -> None:
    played.gate.clear()
    job = added(client)
    eventually(lambda: client.get("/api/v1/status").json()["state"] == "acquiring")
    why = "stopped over HTTP: a hair"
    assert client.post("/api/v1/stop", json={"reason": "a hair"}).json()["held"] == why
    eventually(lambda: client.get(f"{JOBS}/{job['id']}").json()["state"] == "done")
    assert client.get(f"{JOBS}/{job['id']}").json()["error"] == why  # what `run_stopped` says in the journal
    begun = json.loads((tmp_path / "data" / "audit.jsonl").read_text().splitlines()[-2])
    assert (begun["what"], json.loads(begun["body"])) == ("POST /api/v1/stop", {"reason": "a hair"})
    played.gate.set()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[1]", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'{"reason": 5}', ""),
        (b'{"reason": null, "more": {}}', ""),
        (b'{"reason": " a\\n hair\\u0000\\ud800 "}', ": a hair"),
        (b'{"reason": "' + b"x" * 9000 + b'"}', ": " + 200 * "x"),
    ],
)
def test_no_reason_keeps_anybody_from_stopping(client: TestClient, played: PlayedWork, body: bytes, why: str) -> None:
    answer = client.post("/api/v1/stop", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["held"]) == (202, f"stopped over HTTP{why}")
    assert played.made_safe == 1


def test_a_stop_without_a_job_makes_the_rig_safe(client: TestClient, played: PlayedWork) -> None:
    assert client.post("/api/v1/stop").status_code == 202
    assert played.made_safe == 1


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (RigInUse("rig stand-ins: process 77 uses it"), 409, ["process 77", "end that process"]),
        (DeviceTimeout("scanner", "no answer"), 503, ["scanner: no answer"]),
    ],
)
def test_a_stop_that_does_not_reach_the_rig_says_so_and_holds_the_queue(
    client: TestClient, played: PlayedWork, trouble: Exception, status: int, words: list[str]
) -> None:
    played.unsafe = trouble
    refused(client.post("/api/v1/stop"), status, *words, "the queue is held")
    assert client.get("/api/v1/status").json()["held"] == "stopped over HTTP"


def test_a_stop_of_a_service_without_a_rig_says_that_nothing_was_retracted(tmp_path: Path, played: PlayedWork) -> None:
    with TestClient(create_app(Service(DataFolder(tmp_path), work=played.work))) as client:
        refused(client.post("/api/v1/stop"), 409, "--rig", "the queue is held")
        assert client.get("/api/v1/status").json()["held"] == "stopped over HTTP"


def test_a_damaged_run_is_told_as_such(client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "data" / "runs" / "broken"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"plan": {"name": "x"}}))
    refused(client.get("/api/v1/runs/broken"), 500, "broken")
    assert client.get("/api/v1/runs").status_code == 200


def test_a_service_without_a_rig_says_so(tmp_path: Path, played: PlayedWork) -> None:
    with TestClient(create_app(Service(DataFolder(tmp_path), work=played.work))) as client:
        refused(client.post(JOBS, json={"plan": plan()}), 422, "--rig")


def test_it_says_that_it_is_well_and_describes_itself(client: TestClient) -> None:
    assert client.get("/healthz").json()["ok"] is True
    described = client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/status", "/api/v1/jobs/{job_id}/pause", "/api/v1/stop"} <= described.keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"host": "0.0.0.0"}, ["--host 0.0.0.0", "127.0.0.1"]),
        ({"host": "::"}, ["--host ::"]),
        ({"host": "example.org"}, ["--host example.org"]),
        ({"sim": True, "rig": Path("rig.toml")}, ["--sim", "--rig"]),
        ({"rig": Path("absent.toml")}, ["absent.toml"]),
    ],
)
def test_arguments_that_do_not_go_are_refused_before_anything_is_made(
    tmp_path: Path, arguments: dict[str, Any], words: list[str]
) -> None:
    asked: dict[str, Any] = {"rig": None, "host": "127.0.0.1", "sim": False} | arguments
    with pytest.raises(BAD_INPUT) as refusal:
        serve(Serving(tmp_path / "data", port=0, sim_options="", database=None, **asked), ready=lambda url: None)
    assert all(word in str(refusal.value) for word in words)
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}"):
            serve(Serving(tmp_path / "data", None, "127.0.0.1", port, False, "", None), ready=lambda url: None)
