"""Browsers that were logged in: what they may, what pages of others may not, and when it is over."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.access.access import Access
from api.access.gate import Gate
from api.access.open_socket import POLICY_VIOLATION
from api.access.rate import Rate, Rates
from api.access.roles import Role
from api.access.sessions import COOKIE, LONGEST_S, Sessions
from api.access.tokens import Tokens
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from tests.api.service_bench import SOON_S, PlayedWork, listening, rig_file
from tests.api.test_routes import refused

OWN = {"Origin": "http://testserver"}
PAGE = {"Accept": "text/html,application/xhtml+xml"}


@contextmanager
def serving(folder: Path, **access: Rates) -> Iterator[TestClient]:
    service = Service(DataFolder(folder), rig_file(folder), work=PlayedWork().work)
    app = create_app(service, Access(folder, tokens_required=True, **access))
    with TestClient(app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as client:
        yield client


def access_of(client: TestClient) -> Access:
    assert isinstance(client.app, FastAPI)
    found: Access = client.app.state.access
    return found


def log_in(client: TestClient, role: Role, name: str = "mia") -> str:
    """Begin a session; the token that was shown."""
    secret = access_of(client).tokens.create(name, role)
    answer = client.post("/ui/login", data={"token": secret}, headers=OWN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert secret not in answer.headers["Set-Cookie"]
    return secret


def test_a_session_does_what_its_token_may_and_is_logged_as_its_owner(client: TestClient, tmp_path: Path) -> None:
    log_in(client, Role.OPERATE)
    assert client.get("/api/v1/status").json()["caller"] == {"name": "mia", "role": "operate"}
    assert client.post("/api/v1/queue/hold", headers=OWN).status_code == 202
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["who"], line["what"], line["outcome"]) for line in lines[-3:]] == [
        ("mia", "POST /ui/login", "done"),
        ("mia", "POST /api/v1/queue/hold", "begun"),
        ("mia", "POST /api/v1/queue/hold", "done"),
    ]
    access_of(client).lease.take("max", 60)
    refused(client.post("/api/v1/queue/release", headers=OWN), 409, "max")


def test_a_session_of_a_viewer_commands_nothing(client: TestClient) -> None:
    log_in(client, Role.VIEW)
    assert client.get("/api/v1/jobs").status_code == 200
    refused(client.post("/api/v1/stop", headers=OWN), 403, "view")


def test_a_page_from_elsewhere_gets_nothing_done_with_the_cookie(client: TestClient) -> None:
    log_in(client, Role.ADMIN)
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://testserver:81"}):
        refused(client.post("/api/v1/queue/hold", headers=origin), 403, "Origin")
    assert client.get("/api/v1/status").json()["held"] is None
    refused(client.get("/ui/_nicegui_ws/socket.io/", headers={"Origin": "http://evil.example"}), 403, "Origin")
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/api/v1/events", headers={"Origin": "http://evil.example"}),
    ):
        pass
    with client.websocket_connect("/api/v1/events", headers=OWN):
        pass


def test_a_login_from_elsewhere_is_refused(client: TestClient) -> None:
    secret = access_of(client).tokens.create("mia", Role.ADMIN)
    answer = client.post("/ui/login", data={"token": secret}, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


def test_a_session_ends_with_its_token(client: TestClient) -> None:
    log_in(client, Role.OPERATE)
    access_of(client).tokens.revoke("mia")
    refused(client.get("/api/v1/status"), 401, "session is over")
    access_of(client).tokens.create("mia", Role.OPERATE)
    refused(client.get("/api/v1/status"), 401)


def test_a_session_outlives_a_new_start_of_the_service(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        log_in(client, Role.OPERATE)
        cookie = client.cookies[COOKIE]
    with serving(tmp_path) as client:
        client.cookies.set(COOKIE, cookie)
        assert client.get("/api/v1/status").status_code == 200
        (tmp_path / "session.key").unlink()
    with serving(tmp_path) as client:
        client.cookies.set(COOKIE, cookie)
        refused(client.get("/api/v1/status"), 401)


def test_a_session_is_over_after_half_a_day(tmp_path: Path) -> None:
    Tokens(tmp_path).create("mia", Role.VIEW)
    (token,) = Tokens(tmp_path).all()
    now_s = 1000.0
    sessions = Sessions(tmp_path, lambda: now_s)
    cookie = sessions.begin(token)
    now_s += LONGEST_S - 1
    assert sessions.owner_of(cookie, [token]) == token
    now_s += 1
    assert sessions.owner_of(cookie, [token]) is None
    assert (tmp_path / "session.key").stat().st_mode & 0o077 == 0


def test_a_cookie_that_was_changed_is_worth_nothing(client: TestClient) -> None:
    log_in(client, Role.ADMIN)
    good = client.cookies[COOKIE]
    for cookie in (good[:-1], f"{good}0", good.replace(".", ".9", 1), f"x{good}"):
        client.cookies.clear()
        client.cookies.set(COOKIE, cookie)
        refused(client.get("/api/v1/status"), 401)


@pytest.mark.parametrize(
    "cookie", ["", "a", "..", "bWlh.99999999999.", "bWlh.²." + "0" * 64, "bWlh." + "9" * 5000 + ".0"]
)
def test_a_cookie_that_is_none_is_worth_nothing(client: TestClient, cookie: str) -> None:
    access_of(client).tokens.create("mia", Role.ADMIN)
    refused(client.get("/api/v1/status", headers={"Cookie": f"{COOKIE}={cookie}".encode()}), 401)  # type: ignore[dict-item]


def test_a_wrong_token_is_told_on_the_form_logged_and_slowed_down(tmp_path: Path) -> None:
    with serving(tmp_path, rates=Rates(strangers=Rate(0.01, 2))) as client:
        answers = [client.post("/ui/login", data={"token": "nr_<guess>"}, headers=OWN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert "unknown, or was revoked" in answers[0].text
    assert "guess" not in answers[0].text + (tmp_path / "audit.jsonl").read_text()


def test_whoever_opens_the_page_without_a_session_is_asked_for_a_token(client: TestClient) -> None:
    for path in ("/", "/ui", "/ui/", "/ui/anything"):
        answer = client.get(path, headers=PAGE)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/login"), path
    for path in ("/ui/_nicegui/x.js", "/ui/_nicegui_ws/socket.io/"):
        refused(client.get(path), 401)
    refused(client.post("/ui/_nicegui_ws/socket.io/"), 401)
    refused(client.get("/api/v1/status", headers=PAGE), 401)
    form = client.get("/ui/login", headers=PAGE)
    assert (form.status_code, 'type="password"' in form.text) == (200, True)
    assert "frame-ancestors 'none'" in form.headers["Content-Security-Policy"]


def test_logging_out_forgets_the_session(client: TestClient) -> None:
    log_in(client, Role.VIEW)
    answer = client.post("/ui/logout", headers=OWN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/login")
    refused(client.get("/api/v1/status"), 401)


def test_a_cookie_that_was_logged_out_of_lets_nobody_in_nor_after_a_new_start(
    client: TestClient, tmp_path: Path
) -> None:
    secret = log_in(client, Role.VIEW)
    kept = client.cookies[COOKIE]
    foreign = client.post("/ui/logout", headers={"Origin": "http://elsewhere.example"})
    refused(foreign, 403, "elsewhere")
    assert "Set-Cookie" not in foreign.headers
    assert client.get("/api/v1/status").status_code == 200
    client.post("/ui/logout", headers=OWN)
    client.post("/ui/login", data={"token": secret}, headers=OWN)  # in the same second, perhaps
    assert client.get("/api/v1/status").status_code == 200
    client.cookies.clear()
    cookie = {"Cookie": f"{COOKIE}={kept}"}
    refused(client.get("/api/v1/status", headers=cookie), 401, "over")
    assert kept not in (tmp_path / "sessions_ended.json").read_text()
    token = access_of(client).tokens.owner_of(secret)
    assert token is not None
    now_s = time.time()
    again = Sessions(tmp_path, lambda: now_s)
    assert again.owner_of(kept, [token]) is None
    assert again.owner_of(again.begin(token), [token]) == token


END: dict[str, Callable[[TestClient], object]] = {
    "its time is over": lambda client: setattr(access_of(client)._sessions, "_clock", lambda: time.time() + LONGEST_S),
    "logged out": lambda client: client.post("/ui/logout", headers=OWN),
    "revoked": lambda client: access_of(client).tokens.revoke("mia"),
}


@pytest.mark.parametrize("how", END)
def test_what_a_session_has_open_ends_with_it(client: TestClient, how: str) -> None:
    log_in(client, Role.VIEW)
    with client.websocket_connect("/api/v1/events", headers=OWN) as socket:
        END[how](client)
        with pytest.raises(WebSocketDisconnect) as ending:
            socket.receive_json()
    assert ending.value.code == POLICY_VIOLATION


@pytest.mark.parametrize("how", END)
def test_the_live_view_of_a_session_ends_with_it(tmp_path: Path, how: str) -> None:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    app = create_app(service, Access(tmp_path, tokens_required=True))
    with listening(uvicorn.Config(app, log_level="error")) as (host, port):
        client = TestClient(app, follow_redirects=False)  # beside it: the same access
        log_in(client, Role.VIEW)
        asked = urllib.request.Request(
            f"http://{host}:{port}/api/v1/live.mjpg", headers={"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        )
        with urllib.request.urlopen(asked, timeout=SOON_S) as stream:
            END[how](client)
            stream.read()  # to its end


def test_whatever_socket_one_has_open_ends_with_ones_token(tmp_path: Path) -> None:
    access, gone = Access(tmp_path, tokens_required=True), list[int]()

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect as ending:
            gone.append(ending.code)

    header = {"Authorization": f"Bearer {access.tokens.create('mia', Role.VIEW)}"}
    client = TestClient(Gate(echo, access))
    with client.websocket_connect("/ui/_nicegui_ws/socket.io/", headers=header) as socket:
        socket.send_text("a")
        assert socket.receive_text() == "a"
        access.tokens.revoke("mia")
        with pytest.raises(WebSocketDisconnect) as ending:
            socket.receive_text()
    assert [ending.value.code, *gone] == [POLICY_VIOLATION, POLICY_VIOLATION]


def test_the_lease_outlives_the_session_in_which_it_was_taken(client: TestClient) -> None:
    log_in(client, Role.OPERATE)
    client.post("/api/v1/lease", json={"seconds": 60}, headers=OWN)
    client.post("/ui/logout", headers=OWN)
    assert (access_of(client).lease.facts() or {})["holder"] == "mia"


def test_where_no_token_is_asked_for_there_is_no_login(tmp_path: Path) -> None:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service), follow_redirects=False) as client:
        assert client.get("/ui/login").headers["Location"] == "/ui/"
