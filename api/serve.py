"""`serve`: a service and its API in one process, until it is told to end."""

import os
import shlex
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.access.access import Access
from api.access.foreign_pages import is_loopback
from api.access.tokens import Tokens
from api.app import create_app
from api.connections import BoundedConfig, raise_limit
from api.data_folder import DataFolder
from api.errors import UsageError
from api.page.mount import mount_page
from api.service import Service
from api.twin import running_twin
from devices.rig import RigSettings

GOODBYE_S = 1  # for open connections; a client that listens for ever does not keep the service


@dataclass(frozen=True)
class Serving:
    """What was asked for."""

    data: Path
    rig: Path | None
    host: str
    port: int
    sim: bool
    sim_options: str
    database: str | None


def serve(asked: Serving, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` is called with the address once it answers.

    Raises:
        UsageError, RigFileError: an argument cannot be used; the port may be taken.
        QueueError: the database does not answer.
    """
    _refuse_strangers(asked)
    raise_limit()
    if asked.sim and asked.rig:
        raise UsageError("--sim brings its own rig; leave --rig out")
    with ExitStack() as opened:
        rig, world_url = asked.rig, None
        if asked.sim:
            twin = opened.enter_context(running_twin(shlex.split(asked.sim_options)))
            rig, world_url = twin.rig, twin.world.url
        if rig is not None:
            RigSettings.load(rig)
        door = opened.enter_context(_listening(asked.host, asked.port))
        service = Service(DataFolder(asked.data), rig, asked.database, world_url)
        access = Access(service.folder.path, tokens_required=not is_loopback(asked.host), loopback_names_only=True)
        app = create_app(service, access)
        mount_page(app)
        with suppress(KeyboardInterrupt):  # how uvicorn passes on the signal that ended it
            _Server(app, service, ready).run([door])
    if not service.over:
        sys.stderr.write("nanoraster: ended before the job under way had; it goes on at the next start\n")
        sys.stderr.flush()
        os._exit(0)  # as after kill -9: the guardian retracts, should the engine not have, and the next start goes on


class _Server(uvicorn.Server):
    """Interrupts the scan at the signal itself: the time for open connections must not come first."""

    def __init__(self, app: FastAPI, service: Service, ready: Callable[[str], None]) -> None:
        super().__init__(
            BoundedConfig(
                app,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=GOODBYE_S,
                ws_per_message_deflate=False,  # events are short; it costs each listener 300 kB, and CPU
            )
        )
        self._state = app.state
        self._service = service
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.end()
        self._state.is_ending = True  # streams end by themselves, before they are cut off
        super().handle_exit(sig, frame)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: {error.strerror}") from error


def _refuse_strangers(asked: Serving) -> None:
    """Off loopback anybody could drive the rig: not before there are tokens."""
    if is_loopback(asked.host) or any(token.is_valid for token in Tokens(asked.data).all()):
        return
    raise UsageError(
        f"--host {asked.host}: others could drive the rig unasked, for nobody has a token yet; first "
        f"`nanoraster token create --name NAME --role operate --data {asked.data}`, or serve on 127.0.0.1"
    )
