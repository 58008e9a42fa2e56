"""Requests that make no sense, over a socket: each is refused as a problem, and nothing moves or is lost."""

import json
import random
import socket
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from api.access import body
from api.access.access import Access
from api.access.rate import Rate, Rates
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from benchmarks.malformed import Result, Wrong, send, send_all, wrong_requests
from tests.api.service_bench import SOON_S, PlayedWork, eventually, listening, plan, rig_file

REQUESTS = 1000
ALL = Rate(1e6, 10**6)


def quiet(app: FastAPI) -> uvicorn.Config:
    """As `serve` has it, without a word."""
    return uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)


def test_a_command_that_is_cut_off_is_none(tmp_path: Path) -> None:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    app = create_app(service)
    with listening(quiet(app)) as address:
        for path in ("queue/hold", "lease"):  # of which nothing has to be said
            asked = f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n"
            assert send(address, Wrong("cut off", asked.encode(), True, True)) == b""
    assert app.state.access.lease.facts() is None
    log = tmp_path / "audit.jsonl"
    eventually(lambda: log.exists() and log.read_text().count("body: cut off after 0 bytes") == 2)
    assert "begun" not in log.read_text()


def test_a_command_that_does_not_come_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LONGEST_S", 0.05)
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with (
        listening(quiet(create_app(service))) as address,
        socket.create_connection(address, timeout=SOON_S) as asking,
    ):
        asking.sendall(b"POST /api/v1/queue/hold HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n")
        assert asking.recv(12) == b"HTTP/1.1 408"
    (line,) = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    assert (line["what"], line["outcome"], line["status"]) == ("POST /api/v1/queue/hold", "refused", 408)


def test_nonsense_is_refused_and_nothing_moves(tmp_path: Path) -> None:
    played, result = PlayedWork(), Result()
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=played.work)
    with listening(quiet(create_app(service, Access(tmp_path, rates=Rates(ALL, ALL, ALL))))) as address:
        done = service.queue.add("pads", plan()).id
        eventually(lambda: service.queue.get(done).outcome)
        service.queue.hold("nonsense is to come")
        service.queue.add("waits", plan())
        before = service.queue.listing()
        run = service.queue.get(done).run
        assert run is not None
        send_all(address, wrong_requests(random.Random(7), run), REQUESTS, result)
        assert result.unclear == []
        assert service.queue.listing() == before
        assert not service.by_hand.is_open
        assert service.status()["troubles"] == []
    assert (played.scanned, played.resumed) == (["pads"], [])
