"""A stop that was acknowledged holds, whatever becomes of the service and its queue a moment later."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.data_folder import DataFolder
from api.halt import Halt
from api.service import Service
from api.twin import Twin
from tests.api.service_bench import PlayedWork, eventually, plan, rig_file
from tests.api.test_serve import SLOW_PLAN, serving

WHY = "stopped over HTTP"


def test_a_stop_outlives_a_service_that_is_killed_before_its_queue_knows(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service:
        job = service.ask("/api/v1/jobs", {"plan": SLOW_PLAN})["id"]
        eventually(lambda: service.tiles() >= 2)
        with closing(sqlite3.connect(DataFolder(tmp_path).database, isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            answer = service.ask("/api/v1/stop", {})
            assert (answer["held"], "stopped.json" in str(answer["troubles"])) == (WHY, False)
            service.process.kill()
            service.process.wait()
    before = twin.world.exposures()
    with serving(tmp_path, "--rig", twin.rig) as service:
        assert service.ask("/api/v1/status")["held"] == WHY
        eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
        eventually(lambda: not (tmp_path / "stopped.json").exists())
        found = service.ask(f"/api/v1/jobs/{job}")
        assert (found["outcome"], service.ask("/api/v1/status")["held"]) == ("stopped", WHY)
        assert twin.world.exposures() == before


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Not begun: its queue is never told."""
    monkeypatch.setattr("api.service.Service.begin", lambda self: None)
    monkeypatch.setattr("api.service.Service.close", lambda self: self._opened.close())
    return Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)


def test_a_stop_that_cannot_be_written_down_holds_and_says_so(service: Service, tmp_path: Path) -> None:
    (tmp_path / "stopped.partial").mkdir()
    with TestClient(create_app(service)) as client:
        answer = client.post("/api/v1/stop").json()
        (trouble,) = answer["troubles"]
        assert answer["held"] == WHY
        assert str(tmp_path / "stopped.json") in trouble
        (tmp_path / "stopped.partial").rmdir()
        assert client.post("/api/v1/stop").json()["troubles"] == []


def test_a_stop_that_was_released_holds_no_new_start(service: Service, tmp_path: Path) -> None:
    with TestClient(create_app(service)) as client:
        client.post("/api/v1/stop")
        assert Halt(tmp_path / "stopped.json").reason == WHY
        assert client.post("/api/v1/queue/release").json()["held"] is None
    assert Halt(tmp_path / "stopped.json").reason is None


def test_a_release_does_not_take_a_later_stop_with_it(tmp_path: Path) -> None:
    halt = Halt(tmp_path / "stopped.json")
    halt.stop("a door", 7)
    before = halt.stops
    halt.stop("a finger", None)
    halt.write_down()
    halt.forget(before)
    again = Halt(tmp_path / "stopped.json")
    assert (again.reason, again.ended(7)) == ("a finger", True)


def test_a_note_that_cannot_be_read_is_one_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "stopped.json").write_text('{"rea')
    with Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work) as service:
        service.queue.add("a", plan())
        assert "stopped.json is damaged" in eventually(service.queue.held)
        service.release()
        eventually(lambda: service.queue.jobs()[0].outcome)
