"""Connections that say nothing: they are few, are closed in time, and keep nobody from a stop."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from api import connections
from api.app import create_app
from api.connections import BoundedConfig
from api.data_folder import DataFolder
from api.service import Service
from tests.api.service_bench import SOON_S, PlayedWork, eventually, listening, rig_file

Address = tuple[str, int]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 20)
    monkeypatch.setattr(connections, "MOST_OF_ONE", 10)


@pytest.fixture
def config(tmp_path: Path) -> BoundedConfig:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    return BoundedConfig(create_app(service), log_level="critical", timeout_graceful_shutdown=1)


@pytest.fixture
def address(config: BoundedConfig) -> Iterator[Address]:
    with listening(config) as address:
        yield address


def is_closed(open_: socket.socket) -> bool:
    open_.settimeout(SOON_S)
    try:
        return open_.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


@pytest.mark.usefixtures("few")
def test_the_silent_give_way_to_a_stop(address: Address, tmp_path: Path) -> None:
    with ExitStack() as opened:
        silent = [opened.enter_context(socket.create_connection(address)) for _ in range(100)]
        assert all(map(is_closed, silent[:90]))
        answer = httpx.post(f"http://127.0.0.1:{address[1]}/api/v1/stop", timeout=SOON_S)
        assert answer.status_code == 202
        assert is_closed(silent[90])
    assert '"outcome": "done"' in (tmp_path / "audit.jsonl").read_text()


@pytest.mark.usefixtures("few")
def test_who_has_asked_keeps_his_place_until_he_goes(address: Address, config: BoundedConfig) -> None:
    url = f"ws://127.0.0.1:{address[1]}/api/v1/events"
    with ExitStack() as opened:
        sockets = [opened.enter_context(connect(url)) for _ in range(10)]
        with closing(socket.create_connection(address)) as one_too_many:
            assert is_closed(one_too_many)
        sockets[0].close()
        eventually(lambda: config.connections._open.total() == 9)
        opened.enter_context(connect(url))
    eventually(lambda: not config.connections._open)
    assert not config.connections._silent


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_head_that_does_not_come_is_given_up(address: Address, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    with closing(socket.create_connection(address)) as slow:
        slow.sendall(sent)
        assert is_closed(slow)


def test_the_next_head_is_given_up_as_well(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    with closing(socket.create_connection(address)) as slow:
        slow.settimeout(SOON_S)
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HT")
        while slow.recv(4096):
            pass


def test_a_head_without_end_is_given_up(address: Address) -> None:
    with closing(socket.create_connection(address)) as endless:
        endless.settimeout(SOON_S)
        with suppress(OSError):  # it is reset while we send
            endless.sendall(b"GET /healthz HTTP/1.1\r\n" + b"X-More: of the same\r\n" * 200_000)
        assert is_closed(endless)


def test_the_limit_of_open_files_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: raised.append(limits))
    connections.raise_limit()
    assert raised == [(4096, 4096)]
