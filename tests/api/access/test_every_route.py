"""Every route of the app, asked by everybody: who should not is refused, it is logged, and nothing moves."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from api.access.roles import Role
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from devices.errors import DeviceLost
from devices.rig import Rig, RigSettings
from tests.api.service_bench import PlayedWork, plan, rig_file
from tests.api.test_routes import refused

API = "/api/v1"


@dataclass(frozen=True)
class Route:
    """A route, how it is asked, what it needs, and what somebody who may gets."""

    method: str
    path: str
    needs: Role | None
    answer: int
    leased: bool = False
    body: Any = None

    @property
    def example(self) -> str:
        name = "scanner" if "/devices" in self.path and self.method == "POST" else "absent"
        return self.path.format(job_id=1, name=name, layer="raw", level=0, row=0, col=0)


def view(path: str, answer: int = 200, method: str = "GET", body: Any = None) -> Route:
    return Route(method, f"{API}{path}", Role.VIEW, answer, body=body)


def operate(method: str, path: str, answer: int, body: Any = None, leased: bool = True) -> Route:
    return Route(method, f"{API}{path}", Role.OPERATE, answer, leased, body)


TABLE = [
    Route("GET", "/healthz", None, 200),
    Route("GET", "/ui/login", None, 200),
    Route("POST", "/ui/login", None, 401),
    Route("POST", "/ui/logout", None, 303),
    Route("GET", "/openapi.json", Role.VIEW, 200),
    Route("GET", "/metrics", Role.VIEW, 200),
    view("/status"),
    view("/jobs"),
    view("/jobs/{job_id}", 404),
    view("/events", 101, method="WS"),
    view("/live.mjpg", 503),  # full, or it would never end
    view("/rig"),
    view("/devices"),
    view("/devices/{name}", 404),
    operate("POST", "/devices/{name}/move", 503, {"targets_um": {"x": 1.0}}),
    operate("POST", "/devices/{name}/home", 503),
    operate("POST", "/snap", 503),
    view("/runs"),
    view("/runs/{name}", 404),
    view("/runs/{name}/tiles", 404),
    view("/runs/{name}/report", 404),
    view("/models"),
    view("/sim/faults", 404),
    operate("POST", "/sim/faults", 404, {"device": "camera", "name": "black_frame"}),
    operate("POST", "/runs/{name}/reconstruct", 404, {"model": "none"}),
    view("/runs/{name}/mosaic", 404),
    view("/runs/{name}/mosaic/{layer}/{level}", 404),
    view("/runs/{name}/mosaic/{layer}/{level}/{row}/{col}.jpg", 404),
    view("/plans/preview", method="POST", body=plan()),
    operate("POST", "/stop", 202, leased=False),
    operate("POST", "/lease", 200, leased=False),
    operate("DELETE", "/lease", 204, leased=False),
    operate("POST", "/queue/hold", 202),
    operate("POST", "/queue/release", 202),
    operate("POST", "/jobs", 201, {"plan": plan()}),
    operate("PATCH", "/jobs/{job_id}", 404, {"position": 0}),
    operate("DELETE", "/jobs/{job_id}", 404),
    operate("POST", "/jobs/{job_id}/retake", 404, {"tile": 0}),
    *(operate("POST", f"/jobs/{{job_id}}/{verb}", 404) for verb in ("pause", "resume", "skip", "stop", "abort")),
]


class Bench:
    """A service with people at it, one of whom has been thrown out."""

    def __init__(self, folder: Path, client: TestClient, played: PlayedWork) -> None:
        app = client.app
        assert isinstance(app, FastAPI)
        self.app, self.client, self.played, self._folder = app, client, played, folder
        self.access = app.state.access
        self.opened = 0
        app.state.service.by_hand._opening = self._open
        self._secrets = {role: self.access.tokens.create(role, role) for role in Role}
        self._secrets["gone"] = self.access.tokens.create("gone", Role.ADMIN)
        self.access.tokens.revoke("gone")

    def _open(self, settings: RigSettings, opened: ExitStack) -> Rig:
        self.opened += 1
        raise DeviceLost("scanner", "no connection")

    def ask(self, route: Route, who: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self._secrets[who]}"} if who else {}
        if route.method == "WS":
            return self._connect(route, headers)
        body = {"json": route.body} if route.body is not None else {}
        return self.client.request(route.method, route.example, headers=headers, follow_redirects=False, **body)

    def _connect(self, route: Route, headers: dict[str, str]) -> int:
        try:
            with self.client.websocket_connect(route.example, headers=headers):
                return 101
        except WebSocketDenialResponse as refusal:
            return refusal.status_code
        except WebSocketDisconnect:
            return 403

    def state(self) -> Any:
        """All that a command could change."""
        service = self.app.state.service
        listing = service.queue.listing()
        return (
            listing.version,
            service.queue.held(),
            service.status()["held"],
            self.played.made_safe,
            list(self.played.scanned),
            self.opened,
            sorted(path.name for path in service.folder.runs.iterdir()),
            (self.access.lease.facts() or {}).get("holder"),
        )

    def last_logged(self) -> Any:
        return json.loads((self._folder / "audit.jsonl").read_text().splitlines()[-1])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("api.routes.live.MOST_WATCHERS", 0)
    played = PlayedWork()
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=played.work)
    with TestClient(create_app(service)) as client:
        yield Bench(tmp_path, client, played)


def test_every_route_is_in_the_table(bench: Bench) -> None:
    found = set()
    for context in iter_route_contexts(bench.app.routes):
        for method in (context.methods or {"WS"}) - {"HEAD"}:
            found.add((method, context.path))
    assert found == {(route.method, route.path) for route in TABLE}


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_only_who_may_gets_through(bench: Bench, route: Route) -> None:
    before = bench.state()
    if route.needs is None:
        assert bench.ask(route, None).status_code == route.answer
        return
    for who in (None, "gone"):
        _refused(bench, route, who, 401)
    lower = [role for role in Role if not role.includes(route.needs)]
    for role in lower:
        _refused(bench, route, role, 403)
    bench.access.lease.take("somebody", 60)
    if route.leased:
        _refused(bench, route, "admin", 409)
    bench.access.lease.give_up("somebody")
    assert bench.state() == before
    assert _status(bench.ask(route, route.needs)) == route.answer
    if route.needs is not Role.VIEW:
        line = bench.last_logged()
        assert (line["who"], line["what"], line["status"]) == (
            route.needs,
            f"{route.method} {route.example}",
            route.answer,
        )


def _refused(bench: Bench, route: Route, who: str | None, status: int) -> None:
    before = bench.state()
    answer = bench.ask(route, who)
    if route.method == "WS":
        assert answer == 403
    else:
        refused(answer, status)
    assert bench.state() == before
    line = bench.last_logged()
    method = route.method.replace("WS", "GET")
    assert (line["who"], line["outcome"], line["status"]) == (
        who if who in list(Role) else "anybody",
        "refused",
        status,
    )
    assert line["what"] == f"{method} {route.example}"


def _status(answer: Any) -> int:
    return answer if isinstance(answer, int) else int(answer.status_code)


def test_a_stop_is_for_whoever_operates_whoever_is_in_control(bench: Bench) -> None:
    bench.access.lease.take("somebody", 60)
    stop = next(route for route in TABLE if route.path.endswith("v1/stop"))
    for role in (Role.OPERATE, Role.ADMIN):
        assert bench.ask(stop, role).status_code == 202
    assert bench.played.made_safe == 2
