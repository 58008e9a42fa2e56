"""A stop is carried out whatever becomes of its body."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.access import body
from api.app import create_app
from api.data_folder import DataFolder
from api.service import Service
from tests.api.service_bench import SOON_S, PlayedWork, eventually, listening, rig_file
from tests.api.test_malformed import quiet


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[tuple[Service, tuple[str, int]]]:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with listening(quiet(create_app(service))) as address:
        yield service, address


@pytest.mark.parametrize(
    ("sent", "length", "told"),
    [
        (b'{"reason": "' + b":" * 1100 + b'"}', None, f"stopped over HTTP: {':' * 200}"),
        (b'{"reason": "' + b"a" * 140_000 + b'"}', None, "stopped over HTTP"),
        (b"[" * 100_000, None, "stopped over HTTP"),
        (b'{"rea', 50, "stopped over HTTP"),
        (b"", 50, "stopped over HTTP"),
    ],
)
def test_no_body_keeps_anybody_from_stopping(
    stopping: tuple[Service, tuple[str, int]],
    sent: bytes,
    length: int | None,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body, "LONGEST_S", 3600.0)  # who waited for the rest would not end
    service, address = stopping
    head = f"POST /api/v1/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length or len(sent)}\r\n\r\n".encode()
    with closing(socket.create_connection(address, timeout=SOON_S)) as asking:
        asking.sendall(head + sent)
        assert asking.recv(20).startswith(b"HTTP/1.1 ")
    assert service.status()["held"] == told


def test_a_stop_that_is_cut_off_stops(stopping: tuple[Service, tuple[str, int]]) -> None:
    service, address = stopping
    with closing(socket.create_connection(address)) as asking:
        asking.sendall(b"POST /api/v1/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{")
    eventually(lambda: service.status()["held"] == "stopped over HTTP")
