"""Requests that make no sense, over a socket: each is refused as a problem, and nothing moves or is lost."""

import random
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from api.access.access import Access
from api.access.rate import Rate, Rates
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from benchmarks.malformed import Result, Wrong, send, send_all, wrong_requests
from tests.api.service_bench import PlayedWork, eventually, listening, plan, rig_file

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
    assert not (tmp_path / "audit.jsonl").exists()  # nothing was begun


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
