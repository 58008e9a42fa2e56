"""The gate: bodies, haste, pages of others, and what is kept of every command."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from api.access import body
from api.access.access import Access
from api.access.rate import Rate, Rates
from api.access.refused import Refused
from api.access.roles import Role
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from tests.api.service_bench import PlayedWork, plan, rig_file
from tests.api.test_routes import refused

JSON = {"Content-Type": "application/json"}


@contextmanager
def serving(folder: Path, url: str = "http://127.0.0.1", **access: Any) -> Iterator[TestClient]:
    service = Service(DataFolder(folder), rig_file(folder), work=PlayedWork().work)
    with TestClient(create_app(service, Access(folder, **access)), base_url=url) as client:
        yield client


def log_of(folder: Path) -> list[dict[str, Any]]:
    file = folder / "audit.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_command_is_logged_before_and_after_with_what_came_of_it(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        client.get("/api/v1/jobs")
        client.patch("/api/v1/jobs/7", json={"position": 0})
        client.post("/api/v1/queue/hold")
    lines = log_of(tmp_path)
    assert [(line["what"], line["outcome"], line.get("status")) for line in lines] == [
        ("PATCH /api/v1/jobs/7", "begun", None),
        ("PATCH /api/v1/jobs/7", "refused", 404),
        ("POST /api/v1/queue/hold", "begun", None),
        ("POST /api/v1/queue/hold", "done", 202),
    ]
    assert {line["who"] for line in lines} == {"local"}
    assert json.loads(lines[0]["body"]) == {"position": 0}
    assert lines[0]["command"] == lines[1]["command"] != lines[2]["command"]


def test_a_bug_behind_a_command_is_logged_as_its_failure(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        client = TestClient(client.app, raise_server_exceptions=False)
        client.app.state.service.queue.hold = lambda reason: 1 / 0  # type: ignore[attr-defined]
        assert client.post("/api/v1/queue/hold").status_code == 500
    assert [(line["outcome"], line.get("reason")) for line in log_of(tmp_path)] == [
        ("begun", None),
        ("failed", "division by zero"),
    ]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_bounded(tmp_path: Path, chunked: bool) -> None:
    blank = b" " * 2**16
    content = (blank for _ in range(17)) if chunked else blank * 17
    with serving(tmp_path) as client:
        refused(client.post("/api/v1/jobs", content=content, headers=JSON), 413, str(body.LARGEST_BYTES))
        whole = json.dumps({"plan": plan()}).encode()
        padded = whole + b" " * (body.LARGEST_BYTES - len(whole))
        assert client.post("/api/v1/jobs", content=padded, headers=JSON).status_code == 201


def test_what_is_refused_for_its_body_is_logged(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        refused(client.post("/api/v1/jobs", content=b":" * 1001, headers=JSON), 413)
        refused(client.post("/ui/login", content=b":" * 1001), 413)  # anybody could fill the log with it
    keys = ("who", "what", "outcome", "status", "reason", "client")
    assert [tuple(line[key] for key in keys) for line in log_of(tmp_path)] == [
        ("local", "POST /api/v1/jobs", "refused", 413, "body: more than 1000 keys", "testclient"),
    ]


def test_a_body_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LONGEST_S", 0.01)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Refused, match=r"within 0\.01 s"):
        asyncio.run(body.read_body(receive))


def test_haste_is_slowed_down_and_a_stop_is_not(tmp_path: Path) -> None:
    slow = Rates(viewing=Rate(0.01, 3), commands=Rate(0.01, 1), strangers=Rate(0.01, 2))
    with serving(tmp_path, rates=slow) as client:
        answers = [client.get("/api/v1/status") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused(answers[3], 429, "again in 100 s")
        assert answers[3].headers["Retry-After"] == "100"
        assert [client.post("/api/v1/queue/hold").status_code for _ in range(2)] == [202, 429]
        assert {client.post("/api/v1/stop").status_code for _ in range(5)} == {202}
        client.app.state.access.tokens.create("mia", Role.VIEW)  # type: ignore[attr-defined]
        assert [client.get("/api/v1/jobs").status_code for _ in range(3)] == [401, 401, 429]
        assert client.get("/healthz").status_code == 200


def test_what_cannot_be_taken_apart_is_logged_and_counts(tmp_path: Path) -> None:
    with serving(tmp_path, loopback_names_only=True, rates=Rates(strangers=Rate(0.01, 2))) as client:
        answers = [client.get("/api/v1/status", headers={"Host": "["}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        client.app.state.access.tokens.create("mia", Role.VIEW)  # type: ignore[attr-defined]
        assert client.post("/ui/login", headers={"Origin": "http://["}).status_code == 429
        assert client.post("/ui/login", content=b"a&" * 60_000).status_code == 429
    assert [line["reason"][:7] for line in log_of(tmp_path)] == ["Host: [", "Host: ["]


def test_a_stranger_in_a_hurry_locks_out_nobody_else(tmp_path: Path) -> None:
    with serving(tmp_path, tokens_required=True, rates=Rates(openly=Rate(0.01, 2))) as client:
        for path in ("/healthz", "/ui/login"):
            answers = [TestClient(client.app, client=(path, 1)).get(path).status_code for _ in range(3)]
            assert answers == [200, 200, 429]
        assert TestClient(client.app, client=("10.0.0.7", 1)).get("/healthz").status_code == 200


def test_a_new_token_is_asked_for_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        tokens = client.app.state.access.tokens  # type: ignore[attr-defined]
        assert client.get("/api/v1/status").status_code == 200
        header = {"Authorization": f"Bearer {tokens.create('mia', Role.VIEW)}"}
        refusal = client.get("/api/v1/status")
        refused(refusal, 401, "Bearer TOKEN")
        assert refusal.headers["WWW-Authenticate"].startswith("Bearer")
        assert client.get("/api/v1/status", headers=header).status_code == 200
        tokens.revoke("mia")
        refused(client.get("/api/v1/status", headers=header), 401, "revoked")
        (tmp_path / "tokens.json").write_text("[")
        refused(client.get("/api/v1/status", headers=header), 503, "nobody is let in")


def test_beyond_loopback_a_token_is_asked_for_even_if_their_file_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, tokens_required=True) as client:
        refused(client.get("/api/v1/status"), 401)


@pytest.mark.parametrize("sent", ["Bearer", "Bearer ", "Basic bWlhOg==", "Bearer x y", "nr_x", "Bearer \udcff"])
def test_a_header_that_is_no_token_is_refused(tmp_path: Path, sent: str) -> None:
    with serving(tmp_path, tokens_required=True) as client:
        header = {"Authorization": sent.encode(errors="surrogateescape")}
        refused(client.get("/api/v1/status", headers=header), 401)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "10.0.0.7", "127.0.0.1.evil.example", "", "[", "[zz]"]
)
def test_a_name_that_others_gave_this_machine_is_not_answered(tmp_path: Path, host: str) -> None:
    with serving(tmp_path, loopback_names_only=True) as client:
        refused(client.get("/api/v1/status", headers={"Host": host}), 403, "Host")
        for own in ("localhost", "127.0.0.1:8600", "[::1]:8600"):
            assert client.get("/api/v1/status", headers={"Host": own}).status_code == 200
        secret = client.app.state.access.tokens.create("mia", Role.VIEW)  # type: ignore[attr-defined]
        shown = {"Host": host, "Authorization": f"Bearer {secret}"}
        assert client.get("/api/v1/status", headers=shown).status_code == 200


def test_a_page_from_elsewhere_commands_nothing_and_reads_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:81", "http://[", "http://[zz]"):
            refused(client.post("/api/v1/queue/hold", headers={"Origin": origin}), 403, "Origin")
        assert client.get("/api/v1/status").json()["held"] is None
        answer = client.get("/api/v1/status", headers={"Origin": "http://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        assert client.options("/api/v1/stop", headers=asked).status_code == 405
        assert client.post("/api/v1/queue/hold", headers={"Origin": "http://127.0.0.1"}).status_code == 202


def test_a_lease_keeps_others_off_and_its_holder_in(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        tokens = client.app.state.access.tokens  # type: ignore[attr-defined]
        roles = {"mia": Role.OPERATE, "max": Role.OPERATE, "root": Role.ADMIN}
        shown = (f"Bearer {tokens.create(name, role)}" for name, role in roles.items())
        mia, max_, root = ({"Authorization": header} for header in shown)
        assert client.post("/api/v1/queue/hold", headers=max_).status_code == 202
        taken = client.post("/api/v1/lease", json={"seconds": 60}, headers=mia).json()["lease"]
        assert (taken["holder"], 59 <= taken["left_s"] <= 60) == ("mia", True)
        assert client.get("/api/v1/status", headers=max_).json()["lease"]["holder"] == "mia"
        for answer in (
            client.post("/api/v1/queue/release", headers=max_),
            client.post("/api/v1/queue/release", headers=root),
            client.post("/api/v1/lease", headers=max_),
            client.delete("/api/v1/lease", headers=max_),
        ):
            refused(answer, 409, "mia has the control lease")
        assert client.post("/api/v1/stop", headers=max_).status_code == 202
        assert client.post("/api/v1/queue/release", headers=mia).status_code == 202
        assert client.delete("/api/v1/lease", headers=root).status_code == 204
        assert client.post("/api/v1/lease", headers=max_).json()["lease"]["holder"] == "max"
        for wrong in ({"seconds": 0}, {"seconds": 1e9}, {"seconds": "60"}, {"minutes": 1}):
            refused(client.post("/api/v1/lease", json=wrong, headers=max_), 422)


def test_a_lease_is_over_with_the_token_of_its_holder(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.post("/api/v1/lease", json={"seconds": 3600}).status_code == 200
        tokens = client.app.state.access.tokens  # type: ignore[attr-defined]
        mia, max_ = ({"Authorization": f"Bearer {tokens.create(name, Role.OPERATE)}"} for name in ("mia", "max"))
        # `local`, who was in control, is nobody any more
        assert client.get("/api/v1/status", headers=mia).json()["lease"] is None
        assert client.post("/api/v1/lease", json={"seconds": 3600}, headers=mia).status_code == 200
        refused(client.post("/api/v1/queue/hold", headers=max_), 409, "mia has the control lease")
        tokens.revoke("mia")
        assert client.post("/api/v1/queue/hold", headers=max_).status_code == 202
        tokens.create("mia", Role.OPERATE)
        assert client.get("/api/v1/status", headers=max_).json()["lease"] is None
