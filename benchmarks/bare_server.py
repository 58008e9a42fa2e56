"""A server that has all its answers ready: what the same bytes cost the same clients on the same machine anyway.

It answers what `benchmarks.viewers` asks for: a stream of one picture, events, the state, a mosaic and its tiles.
"""

import asyncio
import json
import multiprocessing
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PICTURES_EVERY_S = 0.2
PART = b"--nanoraster-frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: multipart/x-mixed-replace; boundary=nanoraster-frame\r\n\r\n"


@dataclass(frozen=True)
class Answers:
    """As the service gave them; events come at its rate."""

    status: bytes
    mosaic: bytes
    tile: bytes
    picture: bytes
    event: str
    event_every_s: float


def answers_of(url: str, run: str, tiles_per_s: float) -> Answers:
    """What a service answers of a run that it has just taken."""

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"{url}/api/v1{path}", timeout=30) as answer:
            found: bytes = answer.read()
            return found

    with urllib.request.urlopen(f"{url}/api/v1/live.mjpg", timeout=30) as stream:
        while not (line := stream.readline()).startswith(b"Content-Length"):
            pass
        stream.readline()
        picture = stream.read(int(line.split()[1]))
    status = json.loads(get("/status"))
    status["job"] = {"id": 1, "name": run, "run": run, "started_at": None}
    blocks = json.loads(get(f"/runs/{run}/mosaic/raw/0"))["blocks"]
    row, column = (4 * int(each) for each in next(iter(blocks)).split("/"))
    return Answers(
        json.dumps(status).encode(),
        get(f"/runs/{run}/mosaic"),
        get(f"/runs/{run}/mosaic/raw/0/{row}/{column}.jpg"),
        picture,
        json.dumps({"seq": 1, "run": run, "kind": "tile", "data": json.loads(get(f"/runs/{run}/tiles"))["tiles"][0]}),
        1 / tiles_per_s,
    )


@contextmanager
def answering(answers: Answers) -> Iterator[tuple[str, str]]:
    """A process of its own; its URL, and that of its events."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_answer, args=(answers, there))
    process.start()
    try:
        port, events_port = here.recv()
        yield f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{events_port}"
    finally:
        here.send("enough")
        process.join()


def _answer(answers: Answers, line: Connection) -> None:
    uvloop.run(_serve(answers, line))


async def _serve(answers: Answers, line: Connection) -> None:
    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=lambda: (line.recv(), loop.call_soon_threadsafe(enough.set)), daemon=True).start()

    async def tell(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(answers.event_every_s)
                await socket.send(answers.event)

    web = await loop.create_server(lambda: _Ready(answers), "127.0.0.1", 0)
    async with serve(tell, "127.0.0.1", 0, compression=None) as events:
        line.send((web.sockets[0].getsockname()[1], next(iter(events.sockets)).getsockname()[1]))
        await enough.wait()
    web.close()


class _Ready(asyncio.Protocol):
    """One connection; a request is one packet."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._part = PART % len(answers.picture) + answers.picture + b"\r\n"
        self._again: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._again is not None:
            self._again.cancel()

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        if path.endswith(b"live.mjpg"):
            self._transport.write(STREAM)
            self._show()
        else:
            known = self._answers
            body = known.tile if path.endswith(b".jpg") else known.status if path.endswith(b"status") else known.mosaic
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    def _show(self) -> None:
        if not self._transport.get_write_buffer_size():
            self._transport.write(self._part)
        self._again = asyncio.get_running_loop().call_later(PICTURES_EVERY_S, self._show)
