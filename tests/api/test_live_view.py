"""The live view: the frame that was stored last, for as many as like to watch, at the price of one."""

import asyncio
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from acquisition.journal import Attempt, utc_now
from api import live_view
from api.app import create_app
from api.bell import Bell
from api.connections import ABORT
from api.data_folder import DataFolder
from api.live_view import LiveView
from api.routes import live
from api.routes.seats import Seats
from api.service import Service
from api.twin import Twin
from tests.api.service_bench import SOON_S, PlayedWork, eventually, plan, rig_file
from tests.api.test_routes import refused
from tests.api.test_serve import Serving, serving

URL = "/api/v1/live.mjpg"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(DataFolder(tmp_path), rig_file(tmp_path), work=(played := PlayedWork()).work) as working:
        played.gate.clear()
        working.queue.add("pads", plan())
        eventually(lambda: (running := working.running()) and running.taken_last)
        yield working
        played.gate.set()


def test_a_run_is_seen_by_its_last_frame_and_each_is_read_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "PERIOD_S", 0.01)
    view = LiveView(service)
    view.join()
    view.join()
    eventually(lambda: view.latest[0] == 1)
    shown = cv2.imdecode(np.frombuffer(view.latest[1], np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (24, 32)
    running = service.running()
    assert running is not None
    time.sleep(0.1)  # ten looks, and no new frame
    assert view.latest[0] == 1
    running.taken_last = Attempt(1, 1, 0, 1, utc_now(), 0.0, 0.0, None, 0.02, frame=0)
    view._stored = None
    eventually(lambda: view.latest[0] == 2)
    view.leave()
    view.leave()
    eventually(lambda: view._thread is None)
    view.close()


def test_what_keeps_a_picture_away_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live_view, "AGAIN_S", 0.01)
    looks: list[int] = []

    def fail(_: object) -> bool:
        looks.append(1)
        raise ZeroDivisionError("no light")

    monkeypatch.setattr(live_view, "opens_quietly", fail)
    view = LiveView(Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work))
    view.join()
    eventually(lambda: len(looks) > 3)
    view.leave()
    view.close()
    assert capsys.readouterr().err.count("live view: no light") == 1


def test_too_many_watchers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_WATCHERS", 0)
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service)) as client:
        refused(client.get(URL), 503, "0 have a place already")


def test_one_caller_leaves_places_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_OF_ONE", 0)
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service)) as client:
        refused(client.get(URL), 503, "local has 0 places already")


def first_jpeg(stream: Any) -> bytes:
    while not (line := stream.readline()).startswith(b"Content-Length"):
        assert line
    stream.readline()
    found: bytes = stream.read(int(line.split()[1]))
    return found


def _dead_watcher(service: Serving) -> socket.socket:
    """One that asks, and never takes anything."""
    host, port = service.url.removeprefix("http://").split(":")
    asking = socket.create_connection((host, int(port)))
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.sendall(f"GET {URL} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return asking


def test_a_dead_watcher_is_left_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND_S", 0.01)
    sent, seats = list[Message](), Seats()

    async def watch() -> None:
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if "body" in message:
                await asyncio.Event().wait()

        stream = live._Stream(Mock(latest=(1, b"jpeg")), Bell(), lambda: seats.taken("mia"), lambda: True)
        await stream({"extensions": {ABORT: {"now": gone.set}}}, receive, send)
        assert gone.is_set()

    asyncio.run(watch())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert not len(seats)


def test_dead_watchers_cost_the_others_nothing_and_do_not_keep_the_service(
    twin: Twin, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service, ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(closing(_dead_watcher(service)))
        stream = opened.enter_context(urllib.request.urlopen(service.url + URL, timeout=SOON_S))
        assert stream.headers["Content-Type"] == live.MEDIA_TYPE
        pictures = [first_jpeg(stream) for _ in range(5)]
        sizes = {cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED).shape for jpeg in pictures}
        assert sizes == {(512, 512)}
        assert service.ask("/api/v1/status")["devices"]["camera"]["ok"]
        began_s = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SOON_S) == 0
        assert time.monotonic() - began_s < 5
    assert "Traceback" not in capfd.readouterr().err
