"""Requests that make no sense: each is refused as a problem, and nothing moves."""

import random
import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.access.access import Access
from api.access.rate import Rate, Rates
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from tests.api.service_bench import PlayedWork, rig_file

REQUESTS = 1000
ALL = Rate(1e6, 10**6)
NAMES = ["a", "..", "%2e%2e", "a%00b", "%ff", "x" * 300, "-1", "1", "9" * 20, "a/b", "é", "a%0ab", "restored@../x"]
QUERIES = ["", "", "?after=-1", "?after=NaN", "?limit=%00", "?limit=", "?x=1&x=2", "?after=1e3"]
KEYS = ["plan", "region", "targets_um", "seconds", "model", "position", "start_at", "window", "reason", "exposure_ms"]
VALUES = ["NaN", "1e999", "-1", "true", "null", '"x"', "[[1]]", "{}", r'"\ud800"', r'"\u0000"', '{"x": NaN}', "9" * 30]
BODIES = ["", "{", "[]", "null", "\x00", '{"a":' * 2000, *VALUES]
KINDS = ["application/json", "text/plain", "application/json; charset=utf-16"]


def test_nonsense_is_refused_and_nothing_moves(tmp_path: Path) -> None:
    chance, played = random.Random(7), PlayedWork()
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=played.work)
    app = create_app(service, Access(tmp_path, rates=Rates(ALL, ALL, ALL)))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.post("/api/v1/queue/hold")
        before = client.get("/api/v1/jobs").json()["jobs"]
        for _ in range(REQUESTS):
            method, path, content = _request(app, chance)
            answer = client.request(method, path, content=content, headers={"Content-Type": chance.choice(KINDS)})
            if answer.status_code >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json", (method, path, content)
            assert answer.status_code != 500, (method, path, content, answer.text)
        assert client.get("/api/v1/jobs").json()["jobs"] == before
        assert not service.by_hand.is_open
    assert (played.scanned, played.resumed) == ([], [])


def _request(app: FastAPI, chance: random.Random) -> tuple[str, str, bytes | None]:
    """Any operation but the endless one and the two that are always sensible; with a body that no operation takes."""
    operations = [
        (method, path)
        for path, found in app.openapi()["paths"].items()
        for method in found
        if not path.endswith(("live.mjpg", "queue/release", "stop"))
    ]
    method, path = chance.choice(operations)
    path = re.sub(r"\{\w+\}", lambda _: chance.choice(NAMES), path) + chance.choice(QUERIES)
    if method == "get":
        return method, path, None
    keys = ", ".join(f'"{chance.choice(KEYS)}": {chance.choice(VALUES)}' for _ in range(chance.randint(0, 3)))
    return method, path, (chance.choice(BODIES) if chance.random() < 0.3 else f"{{{keys}}}").encode()
