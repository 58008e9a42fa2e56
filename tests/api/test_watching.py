"""`/healthz` tells the parts apart, and `/metrics` counts what happened."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from acquisition.heartbeat import Heartbeat
from acquisition.journal import Journal
from acquisition.queue_errors import QueueError
from api.app import create_app
from api.data_folder import DataFolder
from api.events.log import Happened
from api.service import Service
from devices.errors import DeviceLost
from tests.api.service_bench import PlayedWork, eventually, plan, rig_file


@pytest.fixture
def played() -> PlayedWork:
    return PlayedWork()


@pytest.fixture
def client(tmp_path: Path, played: PlayedWork) -> Iterator[TestClient]:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=played.work)
    with TestClient(create_app(service)) as connected:
        yield connected


def metrics(client: TestClient) -> dict[str, float]:
    """By name, and value of the label if there is one."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[" ".join([sample.name, *sample.labels.values()])] = sample.value
    return found


def test_what_happened_is_counted_from_the_start_of_the_service(client: TestClient, played: PlayedWork) -> None:
    before = metrics(client)
    assert before["nanoraster_jobs queued"] == 0
    assert "nanoraster_jobs removed" not in before  # nobody counts them
    assert before["nanoraster_run_state idle"] == 1
    assert before["nanoraster_disk_free_bytes"] > 0
    played.gate.clear()
    client.post("/api/v1/jobs", json={"plan": plan()})
    eventually(lambda: metrics(client).get("nanoraster_tiles_total ok") == 1)
    during = metrics(client)
    assert (during["nanoraster_run_state acquiring"], during["nanoraster_run_state idle"]) == (1, 0)
    assert (during["nanoraster_run_tiles_planned"], during["nanoraster_worker_lag_tiles"]) == (6, 1)
    assert during["nanoraster_jobs running"] == 1
    assert "nanoraster_drift_micrometres x" in during
    played.gate.set()
    eventually(lambda: metrics(client)["nanoraster_tiles_total ok"] == 6)
    client.post("/api/v1/queue/hold")
    eventually(lambda: metrics(client)["nanoraster_queue_held"] == 1)


def test_overhead_is_what_a_tile_took_beyond_its_physics(client: TestClient) -> None:
    log = client.app.state.events  # type: ignore[attr-defined]
    tile = {
        "verdict": "ok",
        "force_nn": 120.0,
        "drift_x_um": 0.5,
        "drift_y_um": 0.0,
        "total_s": 0.5,
        "attending_s": 0.1,
        "settle_s": 0.35,
        "exposure_s": 0.045,
    }
    log.add("a", [Happened("tiles", 1, "t", "tile", tile), Happened("events", 1, "t", "force_tripped", {})])
    found = metrics(client)
    assert found["nanoraster_tile_overhead_seconds_sum"] == pytest.approx(0.005)
    assert found["nanoraster_force_nanonewtons"] == 120
    assert found["nanoraster_drift_micrometres x"] == 0.5
    assert found["nanoraster_events_total force_tripped"] == 1


def test_the_parts_are_told_apart(client: TestClient, played: PlayedWork, tmp_path: Path) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]

    def well() -> dict[str, object]:
        found: dict[str, object] = client.get("/healthz").json()
        return found

    assert well() == {"ok": True, "service": "working", "worker": "idle", "guardian": "idle", "devices": {}}
    assert client.get("/api/v1/status").json()["health"] == {key: word for key, word in well().items() if key != "ok"}
    service.by_hand.heard.well("camera")
    service.by_hand.heard.failed(DeviceLost("scanner", "no answer at 10.0.0.7"))
    assert well()["devices"] == {"camera": "ok", "scanner": "failed"}
    assert "10.0.0.7" not in client.get("/healthz").text  # anybody may read it
    assert client.get("/api/v1/status").json()["devices"]["scanner"]["error"] == "no answer at 10.0.0.7"
    played.gate.clear()
    run = client.post("/api/v1/jobs", json={"plan": plan()}) and eventually(
        lambda: (job := client.get("/api/v1/status").json()["job"]) and job["run"]
    )
    eventually(lambda: well()["devices"] == {"scanner": "ok", "camera": "ok"})
    assert well()["worker"] == "starting"
    with closing(Journal(tmp_path / "runs" / run / "journal.db")) as journal:
        journal.add_event("worker_started", pid=1)
        eventually(lambda: well()["worker"] == "working")
        journal.add_event("worker_died", code=1)
        eventually(lambda: well()["worker"] == "died")
    running = service.running()
    assert running is not None
    heart = running.heart = Heartbeat.unshared()
    assert well()["guardian"] == "idle"
    heart.guardian.beat()
    assert well()["guardian"] == "guarding"
    heart.tell_retracted()
    assert well()["guardian"] == "retracted"
    heart._numbers[8] = time.monotonic() - 60
    assert well()["guardian"] == "silent"


def test_what_a_run_and_making_safe_found_of_a_device_is_told_and_what_is_old_says_so(
    client: TestClient, played: PlayedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def devices() -> dict[str, str]:
        found: dict[str, str] = client.get("/healthz").json()["devices"]
        return found

    played.error = DeviceLost("scanner", "no answer at 10.0.0.7")
    played.unsafe = DeviceLost("scanner", "no answer at 10.0.0.7")
    client.post("/api/v1/jobs", json={"plan": plan()})
    eventually(lambda: client.get("/api/v1/status").json()["troubles"])
    assert devices() == {"scanner": "failed"}  # which may be read as soon as the trouble is told
    played.unsafe = None
    assert client.post("/api/v1/stop").status_code == 202
    assert devices() == {"scanner": "ok", "camera": "ok"}
    monkeypatch.setattr("api.hand.heard.OLD_S", -1.0)
    assert all(word.startswith("not asked since 2") for word in devices().values())


def test_what_is_in_the_way_hinders_the_service_and_does_not_make_it_sick(
    client: TestClient,
) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    service.queue.held = Mock(side_effect=QueueError("locked"))  # type: ignore[method-assign]
    eventually(lambda: client.get("/healthz").json()["service"] == "hindered")
    assert client.get("/healthz").status_code == 200


def test_a_log_that_is_copied_anew_counts_no_old_runs_and_an_unknown_force_is_none(
    client: TestClient, tmp_path: Path
) -> None:
    assert "nanoraster_force_nanonewtons" not in metrics(client)
    log = client.app.state.events  # type: ignore[attr-defined]
    old, new = "2020-01-01T00:00:00.000000+00:00", "2099-01-01T00:00:00.000000+00:00"
    log.add("a", [Happened("events", 1, old, "force_tripped", {}), Happened("events", 2, new, "paused", {})])
    found = metrics(client)
    assert "nanoraster_events_total force_tripped" not in found
    assert found["nanoraster_events_total paused"] == 1
