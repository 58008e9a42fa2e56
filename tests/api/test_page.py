"""The page as it is served: from this machine alone, and to those who may see it."""

import json
import re
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path

import pytest

from api.access.roles import Role
from api.access.tokens import Tokens
from api.twin import Twin
from tests.api.test_serve import HTTP_S, Serving, serving

ELSEWHERE = re.compile(r"""(?:src|href|import|url|from)["'\s(=:]*((?:https?:)?//[^"'\s)]+)""")


@pytest.fixture(scope="module")
def service(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> object:
    with serving(tmp_path_factory.mktemp("data"), "--rig", twin.rig) as running:
        yield running


def fetched(url: str, **headers: str) -> tuple[str, HTTPMessage]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=HTTP_S) as answer:
        return answer.read().decode(), answer.headers


def test_all_that_it_is_made_of_is_here(service: Serving) -> None:
    page, headers = fetched(service.url)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert not ELSEWHERE.findall(page)
    root = re.search(r'"nanoraster/": ?"([^"]+)"', page)
    assert root is not None
    names, seen = {"control_room.js"}, set()
    while names:
        name = names.pop()
        module, found = fetched(f"{service.url}{root[1]}{name}")
        assert found.get_content_type() == "text/javascript"
        assert not ELSEWHERE.findall(module), name
        seen.add(name)
        names |= set(re.findall(r'from "(?:nanoraster/|\./)(\w+\.js)"', module)) - seen
    web = Path(__file__).parents[2] / "api" / "page" / "web"
    assert seen == {path.name for path in web.glob("*.js")}


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/ui/", "POST", 405),
        ("/ui/nothing", "GET", 404),
        ("/ui/_nicegui/nothing.js", "GET", 404),
        ("/ui/x", "PUT", 404),
    ],
)
def test_what_is_not_there_is_a_problem_as_elsewhere(service: Serving, path: str, method: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(service.url + path, method=method), timeout=HTTP_S)
    with refusal.value as answer:
        assert (answer.code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert json.load(answer)["status"] == status


def test_where_tokens_are_asked_for_only_the_login_shows(twin: Twin, tmp_path: Path) -> None:
    secret = Tokens(tmp_path).create("mia", Role.VIEW)
    with serving(tmp_path, "--rig", twin.rig) as service:
        login, _ = fetched(f"{service.url}/ui/", Accept="text/html")
        assert "Log in" in login
        assert "_nicegui" not in login
        bearer = {"Authorization": f"Bearer {secret}"}
        page, _ = fetched(f"{service.url}/ui/", **bearer)
        assets = set(re.findall(r'"(/ui/_nicegui/[^"]+\.(?:js|css|mjs))"', page))
        assert len(assets) > 5
        for path in (*assets, "/ui/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                fetched(f"{service.url}{path}")
            with refusal.value as answer:
                assert answer.code in (401, 429)
        assert fetched(f"{service.url}{assets.pop()}", **bearer)
